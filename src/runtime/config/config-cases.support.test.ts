import type {ErrorCode} from '../../core/error-codes.ts';

/** A configuration and what must come of it: for the tests of the loader and of the published JSON Schema. */
export interface ConfigCase {
  readonly name: string;
  readonly text: string;
  /** What the loader says; absent: it accepts. */
  readonly error?: {readonly code: ErrorCode; readonly message: string; readonly fix?: string; readonly at: string};
  /** The JSON Schema accepts what only the loader can know. */
  readonly schemaAccepts?: boolean;
}

const CONNECTIONS = `connections:
  shop: {connection_type: EXAMPLE, options: {username: u, password: p, sizes: [a, b], port: 5}}
`;

/** A file with one definition; line 3 begins the objects. */
function definition(objects: string, beside = ''): string {
  return `connection_name: shop\nobjects:\n${objects}\n${beside}${CONNECTIONS}`;
}

function table(settings: string): string {
  return definition(`  - table: {source_table: users, source_schema: s, table_configuration: {${settings}}}`);
}

const IN_TABLE = 'objects[0].table.table_configuration';

/** Files that must load. */
export const ACCEPTED: readonly ConfigCase[] = [
  {name: 'a definition with one table', text: definition('  - table: {source_table: users}')},
  {name: 'a schema', text: definition('  - schema: {source_schema: public}')},
  {name: 'scd_type in any case', text: table('scd_type: scd_Type_1')},
  {
    name: 'keys without a value',
    text: definition(
      '  - table: {source_table: users, destination_table: , table_configuration: }',
      'table_configuration:\n',
    ),
  },
  {
    name: 'all settings',
    text: table(
      'scd_type: SCD_TYPE_1, primary_keys: [id], sequence_by: [at], include_columns: [id, at], row_filter: "id > 5", clustering_columns: [id], table_properties: {delta.appendOnly: false, a: x}, deletion_vectors: true, query_based_connector_config: {cursor_columns: [at], deletion_condition: "gone", hard_deletion_sync_min_interval_in_seconds: 0}, max_rescued_values: 0, max_quarantined_rows: 7, max_deleted_percent: 12.5, max_records_per_batch: 1, on_duplicate_key: quarantine, enable_auto_clustering: false',
    ),
  },
  {
    name: 'history with its settings',
    text: table(
      'scd_type: SCD_TYPE_2, primary_keys: [id], track_history_column_list: [a, b], ignore_null_updates_except_column_list: [c], tombstone_retention_hours: 24, apply_as_deletes: "op = \'D\'"',
    ),
  },
  {
    name: 'all columns but some for history, nulls of named columns',
    text: table(
      'scd_type: SCD_TYPE_2, track_history_except_column_list: [a], ignore_null_updates_column_list: [b], partition_columns: [day]',
    ),
  },
  {
    name: 'truncates and nulls that say nothing',
    text: table('apply_as_truncates: "op = \'T\'", ignore_null_updates: true'),
  },
  {
    name: 'settings of schema evolution',
    text: table(
      'schema_evolution: quarantine, schema_hints: "amount DECIMAL(18,2), address STRUCT<zip: STRING>", renamed_columns: {mail: email}, backfill_new_columns: true, auto_full_refresh_policy: {enabled: true, min_interval_hours: 48}, table_properties: {delta.columnMapping.mode: name, delta.enableTypeWidening: true}',
    ),
  },
  {
    name: 'a reload policy that is switched off',
    text: table('schema_evolution: freeze, auto_full_refresh_policy: {enabled: false}'),
  },
  {
    name: 'upkeep and verification',
    text: table('auto_optimize: false, verify_after_snapshot: false, verify_interval_hours: 24'),
  },
  {
    name: 'options of the connector',
    text: definition(
      '  - table: {source_table: users, connector_options: {example: {a: 1, b: true, c: [x], d: y}, community_connector_options: {options: {e: "1"}}}}',
    ),
  },
  {
    name: 'the community form with its loose texts',
    text: definition(
      '  - table: {source_table: users, table_configuration: {scd_type: append_only, primary_keys: \'["id"]\', sequence_by: at, cluster_by: "a, b", page: 5, nested: {a: [1]}, max_records_per_batch: "100"}}',
    ),
  },
  {
    name: 'pipeline_spec in a file with one pipeline',
    text: `name: x\ncatalog: c\npipeline_spec:\n  connection_name: shop\n  objects: [{table: {source_table: users}}]\n${CONNECTIONS}`,
  },
  {
    name: 'a bundle with settings of the platform',
    text: `bundle: {name: b, git: {branch: main}}
include: [more/*.yml]
workspace: {host: "https://example.com"}
variables: {cat: {default: main, description: d}}
targets: {dev: {default: true, mode: development, workspace: {}, variables: {cat: dev}}}
lake: ./lake
resources:
  jobs: {j: {tasks: []}}
  connections: {shop: {connection_type: example}}
  pipelines:
    other: {libraries: [{notebook: {path: x}}]}
    p:
      catalog: "\${var.cat}"
      serverless: true
      continuous: false
      channel: PREVIEW
      event_log: {name: log}
      ingestion_definition: {connection_name: "\${resources.connections.shop.name}", connector_type: QUERY_BASED, objects: [{table: {source_table: t}}]}
`,
  },
  {
    name: 'a pipeline that follows a log, all its tables to one place of it',
    text: `ingestion_definition: {connection_name: shop, connector_type: CDC, consistency: transaction, objects: [{table: {source_table: a}}]}\n${CONNECTIONS}`,
  },
];

const SHAPE_ERRORS: readonly ConfigCase[] = [
  {
    name: 'an unknown key',
    text: definition('  - table: {sorce_table: users}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table.sorce_table: unknown key',
      fix: 'Did you mean "source_table"?',
      at: '3:13',
    },
  },
  {
    name: 'an unknown setting',
    text: table('primary_key: [id]'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.primary_key: unknown key`,
      fix: 'Did you mean "primary_keys"?',
      at: '3:74',
    },
  },
  {
    name: 'a wrong type',
    text: table('primary_keys: 5'),
    error: {code: 'INVALID_SPEC', message: `${IN_TABLE}.primary_keys: expected a list of strings, found 5`, at: '3:88'},
  },
  {
    name: 'a text for a list',
    text: table('primary_keys: id'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.primary_keys: expected a list of strings, found text`,
      fix: 'Write it as a list: [value].',
      at: '3:88',
    },
  },
  {
    name: 'a number for a text',
    text: definition('  - table: {source_table: 5}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table.source_table: expected text, found 5',
      fix: 'Put it in quotes.',
      at: '3:27',
    },
  },
  {
    name: 'a blank text',
    text: definition('  - table: {source_table: " "}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table.source_table: expected text, found blank text',
      at: '3:27',
    },
  },
  {
    name: 'a number out of range',
    text: table('max_deleted_percent: 101'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.max_deleted_percent: expected a number from 0 to 100, found 101`,
      at: '3:95',
    },
  },
  {
    name: 'a fraction for an integer',
    text: table('max_records_per_batch: 1.5'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.max_records_per_batch: expected an integer of at least 1, found 1.5`,
      at: '3:97',
    },
  },
  {
    name: 'a misspelt word',
    text: table('scd_type: SCD_TYP_1'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.scd_type: expected one of SCD_TYPE_1, SCD_TYPE_2, APPEND_ONLY, found "SCD_TYP_1"`,
      fix: 'Did you mean SCD_TYPE_1?',
      at: '3:84',
    },
  },
  {
    name: 'no objects',
    text: 'connection_name: shop\nobjects: []\n' + CONNECTIONS,
    error: {code: 'INVALID_SPEC', message: 'objects: expected a list with at least one table', at: '2:10'},
  },
  {
    name: 'objects that are missing',
    text: 'connection_name: shop\n' + CONNECTIONS,
    error: {code: 'INVALID_SPEC', message: '"objects" is missing', fix: 'Add objects.', at: '1:1'},
  },
  {
    name: 'an object of two kinds',
    text: definition('  - table: {source_table: a}\n    schema: {source_schema: s}'),
    error: {code: 'INVALID_SPEC', message: 'objects[0]: an object is exactly one of table and schema', at: '3:5'},
  },
  {
    name: 'include and exclude',
    text: table('include_columns: [a], exclude_columns: [b]'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}: include_columns and exclude_columns exclude each other`,
      at: '3:73',
    },
  },
  {
    name: 'a column named twice',
    text: table('primary_keys: [id, id]'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.primary_keys[1]: the same entry stands in the list twice`,
      at: '3:93',
    },
  },
  {
    name: 'a misspelt policy',
    text: table('schema_evolution: evolv'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.schema_evolution: expected one of evolve, freeze, quarantine, found "evolv"`,
      fix: 'Did you mean evolve?',
      at: '3:92',
    },
  },
  {
    name: 'a reload policy that does not say whether',
    text: table('auto_full_refresh_policy: {min_interval_hours: 24}'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.auto_full_refresh_policy: "enabled" is missing`,
      at: '3:100',
    },
  },
  {
    name: 'reloads that are too close to each other',
    text: table('auto_full_refresh_policy: {enabled: true, min_interval_hours: 1}'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.auto_full_refresh_policy.min_interval_hours: expected an integer of at least 24, found 1`,
      at: '3:136',
    },
  },
  {
    name: 'a list of renamed columns',
    text: table('renamed_columns: [a]'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.renamed_columns: expected a mapping of new names to old ones, found a list`,
      at: '3:91',
    },
  },
  {
    name: 'a text for a flag',
    text: table('backfill_new_columns: yes please'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.backfill_new_columns: expected true or false, found text`,
      at: '3:96',
    },
  },
  {
    name: 'verification without a pause',
    text: table('verify_interval_hours: 0'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.verify_interval_hours: expected an integer of at least 1, found 0`,
      at: '3:97',
    },
  },
  {
    name: 'two lists of history',
    text: table('track_history_column_list: [a], track_history_except_column_list: [b]'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}: track_history_column_list and track_history_except_column_list exclude each other`,
      fix: 'Keep one.',
      at: '3:73',
    },
  },
  {
    name: 'deletes said in two ways',
    text: table('apply_as_deletes: "a", query_based_connector_config: {deletion_condition: "b"}'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}: apply_as_deletes and query_based_connector_config.deletion_condition exclude each other`,
      at: '3:73',
    },
  },
  {
    name: 'nulls said in two ways',
    text: table('ignore_null_updates: true, ignore_null_updates_column_list: [b]'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}: ignore_null_updates and ignore_null_updates_column_list exclude each other`,
      at: '3:73',
    },
  },
  {
    name: 'two cursor columns',
    text: table('query_based_connector_config: {cursor_columns: [a, b]}'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.query_based_connector_config.cursor_columns: expected a list of one string, found 2 entries`,
      at: '3:121',
    },
  },
  {
    name: 'a report',
    text: definition('  - report: {source_url: x}'),
    error: {
      code: 'UNSUPPORTED',
      message: 'objects[0].report: Sluice does not support this setting: reports are not ingested yet',
      at: '3:13',
    },
  },
  {
    name: 'a connection beside a gateway, which has it',
    text: definition('  - table: {source_table: a}', 'ingestion_gateway_id: x\n'),
    error: {
      code: 'INVALID_SPEC',
      message: 'a pipeline has exactly one of connection_name and ingestion_gateway_id',
      at: '1:1',
    },
  },
  {
    name: 'auto clustering',
    text: table('enable_auto_clustering: true'),
    error: {
      code: 'UNSUPPORTED',
      message: `${IN_TABLE}.enable_auto_clustering: Sluice does not support this setting`,
      at: '3:98',
    },
  },
  {
    name: 'a mapping for an option',
    text: definition('  - table: {source_table: a, connector_options: {example: {x: {y: 1}}}}'),
    error: {
      code: 'INVALID_SPEC',
      message:
        'objects[0].table.connector_options.example.x: expected text, a number, true, false or a list of strings, found a mapping',
      at: '3:63',
    },
  },
  {
    name: 'a connection without a type',
    text: 'connection_name: shop\nobjects: [{table: {source_table: a}}]\nconnections: {shop: {options: {}}}\n',
    error: {
      code: 'INVALID_SPEC',
      message: 'connections.shop: a connection has exactly one of connection_type and connector',
      fix: 'Write connection_type for a connector of Sluice, connector for one of your own.',
      at: '3:21',
    },
  },
  {
    name: 'a misspelt key of a bundle',
    text: 'resource:\n  pipelines: {}\n',
    error: {code: 'INVALID_SPEC', message: 'resource: unknown key', fix: 'Did you mean "resources"?', at: '1:1'},
  },
  {
    name: 'a continuous pipeline that follows no log',
    schemaAccepts: true,
    text: `continuous: true\npipeline_spec: {connection_name: shop, objects: [{table: {source_table: a}}]}\n${CONNECTIONS}`,
    error: {
      code: 'UNSUPPORTED',
      message: 'continuous: true is for pipelines that follow a log (connector_type: CDC or ingestion_gateway_id)',
      at: '1:1',
    },
  },
  {
    name: 'transactions of what is asked by queries',
    schemaAccepts: true,
    text: `ingestion_definition: {connection_name: shop, consistency: transaction, objects: [{table: {source_table: a}}]}\n${CONNECTIONS}`,
    error: {
      code: 'UNSUPPORTED',
      message:
        'ingestion_definition: consistency: transaction is for pipelines that follow a log (connector_type: CDC or ingestion_gateway_id)',
      at: '1:23',
    },
  },
  {
    name: 'another consistency of a log',
    text: `ingestion_definition: {connection_name: shop, connector_type: CDC, consistency: table, objects: [{table: {source_table: a}}]}\n${CONNECTIONS}`,
    error: {
      code: 'INVALID_SPEC',
      message: 'ingestion_definition.consistency: expected one of transaction, found "table"',
      at: '1:81',
    },
  },
  {
    name: 'both doors',
    text: `pipeline_spec: {connection_name: shop, objects: [{table: {source_table: a}}]}\ningestion_definition: {connection_name: shop, objects: [{table: {source_table: a}}]}\n${CONNECTIONS}`,
    error: {
      code: 'INVALID_SPEC',
      message: 'a pipeline has exactly one of ingestion_definition and pipeline_spec',
      at: '1:1',
    },
  },
];

const MEANING_ERRORS: readonly ConfigCase[] = [
  {
    name: 'two tables with one destination',
    text: definition('  - table: {source_table: a}\n  - table: {source_table: A}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[1].table: the destination main.default.a is taken by objects[0].table',
      fix: 'Give it another destination_table.',
      at: '4:12',
    },
  },
  {
    name: 'destinations that differ by case',
    text: definition('  - table: {source_table: a}\n  - table: {source_table: b, destination_table: A}'),
    error: {
      code: 'INVALID_SPEC',
      message:
        'objects[1].table: the destination main.default.A differs from main.default.a of objects[0].table by case only',
      at: '4:12',
    },
  },
  {
    name: 'the event log as a destination',
    text: definition('  - table: {source_table: a, destination_table: event_log_f}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table: the destination main.default.event_log_f is taken by the event log',
      at: '3:12',
    },
  },
  {
    name: 'an unknown connection',
    text: 'connection_name: shap\nobjects: [{table: {source_table: a}}]\n' + CONNECTIONS,
    error: {
      code: 'INVALID_SPEC',
      message: 'connection_name: there is no connection "shap" under connections',
      fix: 'Did you mean "shop"?',
      at: '1:18',
    },
  },
  {
    name: 'no connections at all',
    text: 'connection_name: shop\nobjects: [{table: {source_table: a}}]\n',
    error: {
      code: 'INVALID_SPEC',
      message: 'connection_name: there is no connection "shop" under connections',
      fix: 'Add it: connections.shop with connection_type and options, or "sluice connections create shop".',
      at: '1:18',
    },
  },
  {
    name: 'options of another connector',
    text: definition('  - table: {source_table: a, connector_options: {files: {x: 1}}}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table.connector_options.files: these are no options of the connector "example"',
      fix: 'Write them under connector_options.example.',
      at: '3:57',
    },
  },
  {
    name: 'an option given twice',
    text: definition(
      '  - table: {source_table: a, connector_options: {example: {x: 1}, community_connector_options: {options: {x: 2}}}}',
    ),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table.connector_options.community_connector_options.x: the option is given twice',
      at: '3:96',
    },
  },
  {
    name: 'a condition that does not parse',
    text: table('row_filter: "id >"'),
    error: {code: 'INVALID_PREDICATE', message: `${IN_TABLE}.row_filter: `, at: '3:86'},
  },
  {
    name: 'hints that are no DDL',
    text: table('schema_hints: "amount MONEY"'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.schema_hints: expected columns with their types as DDL`,
      at: '3:88',
    },
  },
  {
    name: 'a condition of truncates that does not parse',
    text: table('apply_as_truncates: "op ="'),
    error: {code: 'INVALID_PREDICATE', message: `${IN_TABLE}.apply_as_truncates: `, at: '3:94'},
  },
  {
    name: "a property that is not the user's",
    text: table('table_properties: {sluice.flowId: x}'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.table_properties["sluice.flowId"]: the property cannot be set`,
      at: '3:108',
    },
  },
  {
    name: 'deletion vectors as a property',
    text: table('table_properties: {delta.enableDeletionVectors: true}'),
    error: {
      code: 'INVALID_SPEC',
      message: `${IN_TABLE}.table_properties["delta.enableDeletionVectors"]: the property cannot be set`,
      fix: 'Use the setting deletion_vectors.',
      at: '3:122',
    },
  },
  {
    name: 'an event log elsewhere',
    text: `event_log: {catalog: other}\npipeline_spec: {connection_name: shop, objects: [{table: {source_table: a}}]}\n${CONNECTIONS}`,
    error: {
      code: 'UNSUPPORTED',
      message: 'event_log: the event log lies in the pipeline\'s own catalog "main"',
      at: '1:12',
    },
  },
  {
    name: 'an unset environment variable',
    text: definition('  - table: {source_table: "${env.SLUICE_TEST_UNSET}"}'),
    error: {
      code: 'MISSING_SECRET',
      message: 'objects[0].table.source_table: the environment variable SLUICE_TEST_UNSET is not set',
      fix: 'Set SLUICE_TEST_UNSET before starting sluice.',
      at: '3:27',
    },
  },
  {
    name: 'an undeclared variable',
    text: definition('  - table: {source_table: "${var.x}"}'),
    error: {
      code: 'INVALID_SPEC',
      message: 'objects[0].table.source_table: the variable "x" is not declared',
      at: '3:27',
    },
  },
  {
    name: 'an unknown reference',
    text: definition('  - table: {source_table: "${workspace.user}"}'),
    error: {code: 'INVALID_SPEC', message: 'objects[0].table.source_table: ${workspace.user} is unknown', at: '3:27'},
  },
  {
    name: 'a number in quotes that came by a variable',
    text: `variables: {n: {default: many}}\nresources:\n  connections: {shop: {connection_type: EXAMPLE}}\n  pipelines: {p: {ingestion_definition: {connection_name: shop, table_configuration: {max_records_per_batch: "\${var.n}"}, objects: [{table: {source_table: a}}]}}}\n`,
    error: {
      code: 'INVALID_SPEC',
      message:
        'resources.pipelines.p.ingestion_definition.table_configuration.max_records_per_batch: expected an integer of at least 1, found text',
      at: '4:110',
    },
  },
].map((one): ConfigCase => ({...one, error: {...one.error, code: one.error.code as ErrorCode}, schemaAccepts: true}));

/** Files that must be refused, with what is said. */
export const REFUSED: readonly ConfigCase[] = [...SHAPE_ERRORS, ...MEANING_ERRORS];
