import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {IngestError} from '../../core/errors.ts';
import {ACCEPTED, REFUSED} from './config-cases.support.test.ts';
import {loadGateways, loadLake, loadPipelines, type LoadedPipelines, type LoadRequest} from './load-pipelines.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'config-'));
});
afterEach(() => rm(folder, {recursive: true, force: true}));

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), {recursive: true});
    await writeFile(join(folder, name), text);
  }
}

const load = (request: Partial<LoadRequest> = {}): Promise<LoadedPipelines> =>
  loadPipelines({variables: {}, cwd: folder, env: {}, ...request});

async function refusal(request: Partial<LoadRequest> = {}): Promise<IngestError> {
  const error: unknown = await load(request).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof IngestError) return error;
  throw new Error('The configuration was accepted, or something else was thrown.', {cause: error});
}

const BUNDLE = `
bundle: {name: shop}
variables:
  cat: {default: main}
  batch: {default: 5}
  keys: {default: [id, at]}
  secret: {}
targets:
  dev: {default: true, lake: ./devlake}
  prod:
    variables: {cat: prod, keys: {default: [id]}}
    lake: s3://bucket/lake
    resources:
      pipelines: {daily: {schema: gold, ingestion_definition: {objects: [{table: {source_table: extra}}]}}}
resources:
  connections:
    shop: {connection_type: Example, options: {user: u, password: "\${env.SHOP_PASSWORD}"}}
    other: {name: other_name, connection_type: FILES, options: {path: "\${var.secret}"}}
  pipelines:
    daily:
      name: "daily \${bundle.target} of \${bundle.name}"
      catalog: \${var.cat}
      schema: raw
      ingestion_definition:
        connection_name: \${resources.connections.shop.name}
        table_configuration: {exclude_columns: [x], max_records_per_batch: "\${var.batch}", table_properties: {a: 1, b: 2}}
        objects:
          - table: {source_table: Users, table_configuration: {primary_keys: "\${var.keys}", include_columns: [id], table_properties: {b: 3}}}
    weekly:
      ingestion_definition: {connection_name: other_name, objects: [{schema: {source_schema: s}}]}
`;

describe('files', () => {
  it.each(ACCEPTED)('takes $name', async ({text}) => {
    await write({'f.yml': text});
    expect((await load({file: 'f.yml'})).pipelines.length).toBeGreaterThan(0);
  });

  it('take a connector of their own by path, relative to the file, or by the name that it was added under', async () => {
    const placeOf = async (connector: string): Promise<unknown> => {
      await write({
        'sub/f.yml': `connection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connector: "${connector}"}}\n`,
      });
      const [spec] = (await load({file: 'sub/f.yml'})).pipelines;
      return {connector: spec?.connection.connector, place: spec?.connection.place};
    };
    expect(await placeOf('./My-Api.yml')).toEqual({
      connector: 'my-api',
      place: {kind: 'path', path: join(folder, 'sub', 'My-Api.yml')},
    });
    expect(await placeOf('../acme')).toEqual({connector: 'acme', place: {kind: 'path', path: join(folder, 'acme')}});
    expect(await placeOf('acme')).toEqual({
      connector: 'acme',
      place: {kind: 'added', name: 'acme', project: join(folder, 'sub')},
    });
  });

  it.each(REFUSED)('refuses $name', async ({text, error}) => {
    await write({'f.yml': text});
    const refused = await refusal({file: 'f.yml'});
    expect(refused.message.slice(0, error?.message.length)).toBe(error?.message);
    expect(refused).toMatchObject({code: error?.code, class: 'config'});
    expect(refused.context['at']).toBe(`f.yml:${error?.at}`);
    expect(refused.fix).toBeTruthy();
    if (error?.fix !== undefined) expect(refused.fix).toBe(error.fix);
  });

  it('reports every problem of a file at once', async () => {
    await write({'f.yml': 'connection_name: 5\nobjects: [{table: {sorce_table: a}}, {tabel: {}}]\n'});
    const {cause} = await refusal({file: 'f.yml'});
    expect(cause).toBeInstanceOf(AggregateError);
    expect((cause as AggregateError).errors.map((error: IngestError) => error.message)).toEqual([
      'connection_name: expected text, found 5',
      'objects[0].table.sorce_table: unknown key',
      'objects[0].table: "source_table" is missing',
      'objects[1].tabel: unknown key',
      'objects[1]: "table" is missing',
    ]);
  });

  it('looks for sluice.yml, then databricks.yml, and takes a folder for the file in it', async () => {
    const text =
      'connection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connection_type: EXAMPLE}}\n';
    await write({'sub/databricks.yml': text});
    expect((await load({file: 'sub'})).file).toBe('sub/databricks.yml');
    await write({'sub/sluice.yml': text});
    expect((await load({cwd: join(folder, 'sub')})).file).toBe('sluice.yml');
    expect(await refusal()).toMatchObject({code: 'INVALID_SPEC', fix: expect.stringContaining('sluice init')});
    expect(await refusal({file: 'none.yml'})).toMatchObject({
      code: 'INVALID_SPEC',
      message: 'There is no file none.yml.',
    });
  });

  it('never shows the text of a value, which may be a secret', async () => {
    await write({
      'f.yml':
        'connection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connection_type: EXAMPLE, options: hunter2}}\n',
    });
    const error = await refusal({file: 'f.yml'});
    expect(JSON.stringify([error.message, error.fix, error.context])).not.toContain('hunter2');
  });
});

describe('bundles', () => {
  const env = {SHOP_PASSWORD: 'p ${env.X} $${', BUNDLE_VAR_secret: '/data'};

  it('resolves variables, references and the cascade of settings', async () => {
    await write({'sluice.yml': BUNDLE});
    const {pipelines, lake} = await load({env});
    expect(lake).toBe(join(folder, 'devlake'));
    expect(pipelines.map((spec) => spec.key)).toEqual(['daily', 'weekly']);
    const [daily, weekly] = pipelines;
    expect(daily).toMatchObject({
      name: 'daily dev of shop',
      catalog: 'main',
      schema: 'raw',
      eventLogTable: 'event_log_daily',
    });
    expect(daily?.connection).toEqual({
      name: 'shop',
      connector: 'example',
      options: {user: 'u', password: 'p ${env.X} $${'},
      home: join(folder, '.sluice'),
    });
    expect(daily?.objects[0]).toMatchObject({
      sourceTable: 'Users',
      destinationTable: null,
      destinationCatalog: 'main',
      path: 'objects[0].table',
    });
    expect(daily?.objects[0]?.configuration).toMatchObject({
      primaryKeys: ['id', 'at'],
      includeColumns: ['id'],
      excludeColumns: null,
      maxRecordsPerBatch: 5,
      tableProperties: {a: '1', b: '3'},
      deletionVectors: 'auto',
      maxDeletedPercent: 20,
      onDuplicateKey: 'fail',
    });
    expect(weekly?.connection).toMatchObject({name: 'other_name', connector: 'files', options: {path: '/data'}});
    expect(weekly?.objects[0]).toMatchObject({
      kind: 'schema',
      sourceSchema: 's',
      sourceTable: null,
      destinationCatalog: 'main',
      destinationSchema: 'default',
    });
  });

  it('takes the nearer of two names of one setting', async () => {
    await write({
      'f.yml': [
        'connections: {c: {connection_type: EXAMPLE}}',
        'ingestion_definition:',
        '  connection_name: c',
        '  table_configuration: {query_based_connector_config: {deletion_condition: "far", cursor_columns: [at]}}',
        '  objects:',
        '    - table: {source_schema: s, source_table: a, table_configuration: {apply_as_deletes: "near"}}',
        '    - table: {source_schema: s, source_table: b}',
      ].join('\n'),
    });
    const {pipelines} = await load({file: 'f.yml'});
    expect(pipelines[0]?.objects.map(({configuration}) => configuration)).toMatchObject([
      {deletionCondition: 'near', cursorColumns: ['at']},
      {deletionCondition: 'far', cursorColumns: ['at']},
    ]);
  });

  it('lays a target over it: mappings by key, lists one after the other, variables whole', async () => {
    await write({'sluice.yml': BUNDLE});
    const {pipelines, lake} = await load({env, target: 'prod', pipeline: 'daily'});
    expect(lake).toBe('s3://bucket/lake');
    expect(pipelines[0]).toMatchObject({catalog: 'prod', schema: 'gold', name: 'daily prod of shop'});
    expect(pipelines[0]?.objects.map((object) => object.sourceTable)).toEqual(['Users', 'extra']);
    expect(pipelines[0]?.objects[0]?.configuration.primaryKeys).toEqual(['id']);
  });

  it('prefers --var, then the environment, then the target, then the default', async () => {
    await write({'sluice.yml': BUNDLE});
    const catalog = async (request: Partial<LoadRequest>): Promise<string | undefined> =>
      (await load({pipeline: 'daily', ...request})).pipelines[0]?.catalog;
    expect(await catalog({env, target: 'prod'})).toBe('prod');
    expect(await catalog({env: {...env, BUNDLE_VAR_cat: 'fromenv'}, target: 'prod'})).toBe('fromenv');
    expect(await catalog({env: {...env, BUNDLE_VAR_cat: 'fromenv'}, variables: {cat: 'fromflag'}})).toBe('fromflag');
    const {pipelines} = await load({env, pipeline: 'daily', variables: {batch: '17'}});
    expect(pipelines[0]?.objects[0]?.configuration.maxRecordsPerBatch).toBe(17);
  });

  it('asks for secrets of the chosen pipeline only', async () => {
    await write({'sluice.yml': BUNDLE});
    expect((await load({pipeline: 'weekly', variables: {secret: 'x'}})).pipelines).toHaveLength(1);
    expect(await refusal({pipeline: 'daily'})).toMatchObject({
      code: 'MISSING_SECRET',
      message: 'resources.connections.shop.options.password: the environment variable SHOP_PASSWORD is not set',
    });
    expect(await refusal({pipeline: 'daily', env: {SHOP_PASSWORD: ''}})).toMatchObject({
      code: 'MISSING_SECRET',
      message: expect.stringContaining('SHOP_PASSWORD is empty'),
    });
    expect(await refusal({pipeline: 'weekly'})).toMatchObject({
      code: 'MISSING_SECRET',
      message: 'resources.connections.other.options.path: the variable "secret" has no value',
      fix: 'Pass --var secret=VALUE, set BUNDLE_VAR_secret, or give variables.secret.default.',
    });
  });

  it('suggests pipelines, targets and variables', async () => {
    await write({'sluice.yml': BUNDLE});
    expect(await refusal({pipeline: 'dayly'})).toMatchObject({
      code: 'INVALID_SPEC',
      message: 'sluice.yml has no pipeline "dayly".',
      fix: 'Did you mean "daily"?',
    });
    expect(await refusal({target: 'prd'})).toMatchObject({
      message: 'targets: there is no target "prd"',
      fix: 'Did you mean "prod"?',
    });
    expect(await refusal({variables: {btch: '1'}})).toMatchObject({
      message: '--var btch: the variable is not declared.',
      fix: 'Did you mean "batch"?',
    });
  });

  it('finds a pipeline by its name too', async () => {
    await write({'sluice.yml': BUNDLE});
    expect((await load({env, pipeline: 'daily dev of shop'})).pipelines[0]?.key).toBe('daily');
  });

  it('refuses two pipelines that write one table', async () => {
    const pipeline = '{ingestion_definition: {connection_name: c, objects: [{table: {source_table: t}}]}}';
    await write({
      'sluice.yml': `resources: {connections: {c: {connection_type: EXAMPLE}}, pipelines: {a: ${pipeline}, b: ${pipeline}}}`,
    });
    expect(await refusal()).toMatchObject({
      code: 'INVALID_SPEC',
      message: 'The pipelines "a" and "b" both write main.default.t.',
    });
    expect((await load({pipeline: 'b'})).pipelines).toHaveLength(1);
  });

  it('leaves other pipelines alone, and says so when one is asked for', async () => {
    await write({
      'databricks.yml':
        'resources: {pipelines: {gw: {gateway_definition: {connection_name: db}}, etl: {libraries: []}}}',
    });
    expect(await refusal({pipeline: 'gw'})).toMatchObject({code: 'UNSUPPORTED'});
    expect(await refusal()).toMatchObject({
      code: 'INVALID_SPEC',
      message: 'resources.pipelines: there is no ingestion pipeline',
    });
  });

  it('reads how gateways work, where a gateway is', async () => {
    const settings =
      'gateway_settings: {snapshot_megabytes_per_second: 1.5, snapshot_tables_at_once: 1, snapshot_chunks_at_once: 3, staging_retention_days: 7, staging_keep_hours: 0.5, staging_compression: brotli}';
    const objects = 'objects: [{table: {source_schema: s, source_table: t}}]';
    const bundle = (gateway: string, reader: string, alone: string): string => `
resources:
  connections: {db: {connection_type: POSTGRESQL, options: {host: h, database: d, user: u}}}
  pipelines:
    gw: {gateway_definition: {connection_name: db}, ${gateway}}
    reads: {schema: a, ingestion_definition: {ingestion_gateway_id: gw, ${objects}}, ${reader}}
    alone: {schema: b, ingestion_definition: {connection_name: db, connector_type: CDC, ${objects}}, ${alone}}
    asks: {schema: c, ingestion_definition: {connection_name: db, ${objects}}, ${alone === '' ? '' : 'name: asks'}}
`;
    await write({'sluice.yml': bundle(settings, 'name: r', settings)});
    const {gateways} = await loadGateways({variables: {}, cwd: folder, env: {}});
    const expected = {
      snapshotBytesPerSecond: 1_500_000,
      parallelTables: 1,
      parallelChunks: 3,
      maxAgeMs: 7 * 86_400_000,
      minAgeMs: 1_800_000,
      logCompression: 'brotli',
      snapshotCompression: 'brotli',
    };
    expect(gateways.map(({key, settings: own}) => [key, own])).toEqual([
      ['gw', expected],
      ['alone', expected],
    ]);
    await write({'sluice.yml': bundle('name: g', settings, 'name: o')});
    expect(await refusal({pipeline: 'reads'})).toMatchObject({
      code: 'INVALID_SPEC',
      message: 'resources.pipelines.reads.gateway_settings: they are those of gateway "gw"',
    });
    await write({'sluice.yml': bundle('name: g', 'name: r', 'name: o').replace('name: asks', settings)});
    expect(await refusal({pipeline: 'asks'})).toMatchObject({code: 'INVALID_SPEC'});
  });

  it('warns of what does nothing', async () => {
    await write({
      'sluice.yml':
        'resources: {jobs: {}, connections: {c: {connection_type: EXAMPLE}}, pipelines: {p: {notifications: [], ingestion_definition: {connection_name: c, objects: [{table: {source_table: t}}]}}}}',
    });
    expect((await load()).warnings).toEqual([
      'sluice.yml: resources.pipelines.p.notifications has no effect: watch the exit code or the event log',
      'sluice.yml: resources.jobs has no effect: Sluice does not deploy resources of this kind',
    ]);
  });

  it('reads cluster_by of the community form as clustering_columns', async () => {
    await write({
      'f.yml':
        'connection_name: c\nobjects: [{table: {source_table: t, table_configuration: {cluster_by: "a, b"}}}]\nconnections: {c: {connection_type: EXAMPLE}}\n',
    });
    const {warnings, pipelines} = await load({file: 'f.yml'});
    expect(warnings).toEqual([]);
    expect(pipelines[0]?.objects[0]?.configuration.clusteringColumns).toEqual(['a', 'b']);
  });

  it('reads how the schema may change', async () => {
    const settings =
      'schema_evolution: freeze, schema_hints: "n DECIMAL(18,2)", renamed_columns: {mail: email}, backfill_new_columns: true, auto_full_refresh_policy: {enabled: true}';
    await write({
      'f.yml': `connection_name: c\nobjects: [{table: {source_table: t, table_configuration: {${settings}}}}]\nconnections: {c: {connection_type: EXAMPLE}}\n`,
    });
    const {pipelines} = await load({file: 'f.yml'});
    expect(pipelines[0]?.objects[0]?.configuration).toMatchObject({
      schemaEvolution: 'freeze',
      schemaHints: {fields: [{name: 'n', type: {type: 'decimal', precision: 18, scale: 2}}]},
      renamedColumns: {mail: 'email'},
      backfillNewColumns: true,
      autoFullRefresh: {minIntervalHours: 24},
    });
  });

  it('detects references that go in a circle or cannot stand in a text', async () => {
    const bundle = (value: string): string =>
      `variables: {a: {default: "\${var.b}"}, b: {default: "\${var.a}"}, l: {default: [x]}}\nresources: {connections: {c: {connection_type: EXAMPLE}}, pipelines: {p: {name: "${value}", ingestion_definition: {connection_name: c, objects: [{table: {source_table: t}}]}}}}`;
    await write({'sluice.yml': bundle('${var.a}')});
    expect(await refusal()).toMatchObject({
      message: 'resources.pipelines.p.name: ${var.a} refers to itself: var.a -> var.b -> var.a',
    });
    await write({'sluice.yml': bundle('x ${var.l}')});
    expect(await refusal()).toMatchObject({message: expect.stringContaining('is no single value')});
    await write({'sluice.yml': bundle('$${var.a} ${} ${1x}')});
    expect((await load()).pipelines[0]?.name).toBe('${var.a} ${} ${1x}');
  });

  it('uses settings of a schema object for tables of the same schema that are named beside it', async () => {
    const text = `connection_name: c
objects:
  - schema: {source_schema: s, table_configuration: {scd_type: APPEND_ONLY, primary_keys: [a]}, connector_options: {example: {x: 1, y: 1}}}
  - table: {source_schema: s, source_table: t, table_configuration: {primary_keys: [b]}, connector_options: {example: {y: 2}}}
  - table: {source_schema: other, source_table: u}
connections: {c: {connection_type: EXAMPLE}}
`;
    await write({'f.yml': text});
    const [, beside, elsewhere] = (await load({file: 'f.yml'})).pipelines[0]?.objects ?? [];
    expect(beside).toMatchObject({configuration: {scdType: 'APPEND_ONLY', primaryKeys: ['b']}, options: {x: 1, y: 2}});
    expect(elsewhere).toMatchObject({configuration: {scdType: null, primaryKeys: []}, options: {}});
  });
});

describe('the two doors', () => {
  it('lead to the same plan', async () => {
    const connections = 'connections: {c: {connection_type: EXAMPLE, options: {a: b}}}';
    await write({
      'managed/p.yml': `
ingestion_definition:
  connection_name: c
  objects:
    - table:
        source_table: Users
        destination_catalog: x
        table_configuration: {scd_type: SCD_TYPE_1, primary_keys: [id], sequence_by: [at], clustering_columns: [a, b], max_records_per_batch: 10}
        connector_options: {community_connector_options: {options: {page: "5", wide: true}}}
${connections}`,
      'community/p.json': JSON.stringify({
        connection_name: 'c',
        objects: [
          {
            table: {
              source_table: 'Users',
              destination_catalog: 'x',
              table_configuration: {
                scd_type: 'scd_type_1',
                primary_keys: ['id'],
                sequence_by: 'at',
                cluster_by: 'a,b',
                max_records_per_batch: '10',
                page: '5',
                wide: true,
              },
            },
          },
        ],
        connections: {c: {connection_type: 'example', options: {a: 'b'}}},
      }),
    });
    const managed = await load({file: 'managed/p.yml', home: folder});
    const community = await load({file: 'community/p.json', home: folder});
    expect(community.pipelines).toEqual(managed.pipelines);
  });

  it('are told apart in a file that holds a definition alone', async () => {
    const file = (table: string): string =>
      `connection_name: c\nobjects: [{table: ${table}}]\nconnections: {c: {connection_type: EXAMPLE}}\n`;
    await write({'f.yml': file('{source_table: t, table_configuration: {primary_keys: [a], page: 1}}')});
    expect((await load({file: 'f.yml'})).pipelines[0]?.objects[0]?.options).toEqual({page: 1});
    await write({'f.yml': file('{source_table: t, source_schema: s, table_configuration: {page: 1}}')});
    expect(await refusal({file: 'f.yml'})).toMatchObject({
      message: 'objects[0].table.table_configuration.page: unknown key',
    });
  });
});

describe('included files', () => {
  const main = 'include: [conn.yml, "pipelines/**/*.yml"]\nresources: {connections: {c: {connection_type: EXAMPLE}}}\n';
  const pipeline = (key: string): string =>
    `resources: {pipelines: {${key}: {ingestion_definition: {connection_name: c, objects: [{table: {source_table: ${key}}}]}}}}`;

  it('are merged in order of their names', async () => {
    await write({
      'sluice.yml': main,
      'conn.yml': 'variables: {v: {default: 1}}',
      'pipelines/b.yml': pipeline('b'),
      'pipelines/deep/a.yml': pipeline('a'),
    });
    expect((await load()).pipelines.map((spec) => spec.key)).toEqual(['b', 'a']);
  });

  it('must be there, define nothing twice, and include nothing', async () => {
    await write({'sluice.yml': main});
    expect(await refusal()).toMatchObject({
      message: 'include[0]: there is no file conn.yml',
      context: {at: 'sluice.yml:1:11'},
    });
    await write({'conn.yml': 'resources: {connections: {c: {connection_type: FILES}}}'});
    expect(await refusal()).toMatchObject({
      message: 'resources.connections.c: it is defined in sluice.yml already',
      context: {at: 'conn.yml:1:27'},
    });
    await write({'conn.yml': 'include: [x.yml]'});
    expect(await refusal()).toMatchObject({message: 'include: an included file cannot include others'});
  });

  it('report problems with their own name', async () => {
    await write({'sluice.yml': main, 'conn.yml': 'variables: {}', 'pipelines/p.yml': 'resources:\n  pipelines: [1]\n'});
    expect(await refusal()).toMatchObject({context: {at: 'pipelines/p.yml:2:14'}});
    await write({'pipelines/p.yml': 'resources: [1'});
    expect(await refusal()).toMatchObject({code: 'INVALID_SPEC', context: {at: 'pipelines/p.yml:1:14'}});
  });
});

describe('loadLake', () => {
  it('needs no pipeline and no file', async () => {
    const request = {variables: {}, cwd: folder, env: {}};
    expect(await loadLake(request)).toEqual({lake: null, storeOptions: {}});
    await write({'sluice.yml': 'lake: data\nresources: {}'});
    expect((await loadLake(request)).lake).toBe(join(folder, 'data'));
  });

  it('reads how to reach a lake in an object store, with references, of a target, and beside one pipeline', async () => {
    const request = {variables: {}, cwd: folder, env: {KEY: 'id', SECRET: 'a${b}'}};
    await write({
      'sluice.yml': `
lake: s3://bucket/lake
lake_options:
  s3: {region: eu-central-1, access_key_id: "\${env.KEY}", secret_access_key: "\${env.SECRET}"}
  cache: {folder: ./cache, max_size_gb: 2.5}
resources:
  pipelines: {}
targets:
  prod: {lake_options: {s3: {region: us-east-1}, gcs: {service_account_file: key.json}}}
`,
    });
    expect((await loadLake({...request, target: 'prod'})).storeOptions).toEqual({
      s3: {region: 'us-east-1', accessKeyId: 'id', secretAccessKey: 'a${b}'},
      gcs: {serviceAccountFile: join(folder, 'key.json')},
      cache: {folder: join(folder, 'cache'), maxSizeGb: 2.5},
    });
    await write({
      'sluice.yml': `
lake: abfss://c@a.dfs.core.windows.net/x
lake_options: {azure: {account_key: k}}
connections: {shop: {connection_type: EXAMPLE}}
connection_name: shop
objects: [{table: {source_table: users}}]
`,
    });
    expect((await load({file: 'sluice.yml'})).storeOptions).toEqual({azure: {accountKey: 'k'}});
  });

  it('names the path of an option that does not exist', async () => {
    await write({'sluice.yml': 'lake: s3://b\nlake_options: {s3: {regoin: x}}\nresources: {}'});
    await expect(loadLake({variables: {}, cwd: folder, env: {}})).rejects.toMatchObject({
      code: 'INVALID_SPEC',
      message: expect.stringContaining('lake_options.s3.regoin') as string,
    });
  });

  it('takes the options of a connection for those of the lake', async () => {
    await write({
      'sluice.yml': `
lake: s3://bucket
lake_options: {s3: "\${resources.connections.minio.options}"}
resources:
  connections:
    minio: {connection_type: S3, options: {endpoint: "http://127.0.0.1:9000", force_path_style: true}}
`,
    });
    expect((await loadLake({variables: {}, cwd: folder, env: {}})).storeOptions).toEqual({
      s3: {endpoint: 'http://127.0.0.1:9000', forcePathStyle: true},
    });
  });
});
