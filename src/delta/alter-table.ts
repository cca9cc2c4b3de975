import {IngestError, isIngestError} from '../core/errors.ts';
import {schemaToJson} from '../core/schema-json.ts';
import {typesEqual} from '../core/schema.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import type {Metadata} from './actions.ts';
import {changeFieldAt, dropFieldAt, hasFieldAt} from './change-field.ts';
import {MAPPING_MODE, mappedInPlace, mappingMode, withColumnMetadata, withMaxColumnId} from './column-mapping.ts';
import {CONSTRAINT_PREFIX, constrainedColumns} from './constraints.ts';
import {checkTableSchema} from './create-table.ts';
import type {DeltaTable, TableSnapshot} from './delta-table.ts';
import {hasFeature, isFeatureProperty, namedFeatures, withFeatures} from './features.ts';
import {widenedField} from './type-widening.ts';

/**
 * What to change of a table without touching a data file; parts are applied in the order of this list. A path is dotted:
 * struct fields by name, `element`, `key` and `value` into lists and maps.
 */
export interface TableAlteration {
  /** Values to set, null to unset. A property that needs a table feature adds it to the protocol, for good. */
  readonly properties?: Readonly<Record<string, string | null>>;
  /** New name of a column (last name of a nested field) to its path until now. Needs column mapping. */
  readonly renames?: ReadonlyMap<string, string>;
  /** Columns to forget; their values stay in old files, out of sight. Needs column mapping. */
  readonly dropColumns?: readonly string[];
  /** New types by path. Needs type widening. */
  readonly widen?: ReadonlyMap<string, DataType>;
  /** Columns to append; NULL in the rows that are there. */
  readonly addColumns?: readonly StructField[];
  /** Comments by path, null for none. */
  readonly comments?: ReadonlyMap<string, string | null>;
  /** Paths of columns that may be null from now on. */
  readonly nullable?: readonly string[];
}

/** Writers that may come in between before we give up. */
const MAX_ATTEMPTS = 8;

/**
 * Commits the alteration as a version of its own, computed anew when another writer came first. What is so already is not
 * done again; where nothing is left, there is no commit and the snapshot is the newest one.
 * @throws UNSUPPORTED naming the property to set when the table's features do not allow a part; UNKNOWN_COLUMN;
 * INCOMPATIBLE_SCHEMA_CHANGE; UNSUPPORTED_TABLE_FEATURE; COMMIT_CONFLICT.
 */
export async function alterTable(table: DeltaTable, alteration: TableAlteration): Promise<TableSnapshot> {
  for (let attempt = 1; ; attempt++) {
    const base = await table.refresh();
    const altered = alteredTable(table.root, base, alteration);
    if (altered === null) return base;
    try {
      return await table.commit({base, ...altered});
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !isIngestError(error, 'COMMIT_CONFLICT')) throw error;
    }
  }
}

type Altered = Pick<
  Parameters<DeltaTable['commit']>[0],
  'operation' | 'operationParameters' | 'metadata' | 'protocol' | 'blindAppend'
>;

/** The commit that alters a snapshot; null when it is as wanted. */
function alteredTable(root: string, base: TableSnapshot, alteration: TableAlteration): Altered | null {
  const draft = new Draft(root, base);
  draft.setProperties(alteration.properties ?? {});
  for (const [name, path] of alteration.renames ?? []) draft.rename(path, name);
  for (const path of alteration.dropColumns ?? []) draft.drop(path);
  for (const [path, type] of alteration.widen ?? []) draft.widen(path, type);
  draft.add(alteration.addColumns ?? []);
  for (const [path, comment] of alteration.comments ?? []) draft.comment(path, comment);
  for (const path of alteration.nullable ?? []) draft.relax(path);
  const metadata = draft.metadata();
  const isSame = JSON.stringify(metadata) === JSON.stringify(base.metadata);
  const protocol = draft.protocol(metadata, alteration.properties ?? {});
  if (isSame && protocol === base.protocol) return null;
  const addsConstraint = Object.keys(metadata.configuration).some(
    (key) => key.startsWith(CONSTRAINT_PREFIX) && metadata.configuration[key] !== base.metadata.configuration[key],
  );
  return {
    operation: draft.operation,
    ...(isSame ? {} : {metadata}),
    ...(protocol === base.protocol ? {} : {protocol}),
    // Rows that another writer adds meanwhile are not known to satisfy a new constraint.
    blindAppend: !addsConstraint,
  };
}

/** Metadata in the making. */
class Draft {
  /** Delta's name of what was changed last. */
  operation = 'UPGRADE PROTOCOL';
  readonly #root: string;
  readonly #base: TableSnapshot;
  #schema: StructType;
  #partitionColumns: readonly string[];
  #configuration: Readonly<Record<string, string>>;
  #isWidened = false;

  constructor(root: string, base: TableSnapshot) {
    this.#root = root;
    this.#base = base;
    this.#schema = base.schema;
    this.#partitionColumns = base.metadata.partitionColumns;
    this.#configuration = base.metadata.configuration;
  }

  setProperties(properties: Readonly<Record<string, string | null>>): void {
    const before = this.#mode();
    const entries = Object.entries(properties).filter(
      ([key, value]) => !isFeatureProperty(key) && (this.#configuration[key] ?? null) !== value,
    );
    if (entries.length === 0) return;
    this.operation = entries.every(([, value]) => value === null) ? 'UNSET TBLPROPERTIES' : 'SET TBLPROPERTIES';
    const merged = {...this.#configuration, ...Object.fromEntries(entries)};
    this.#configuration = Object.fromEntries(
      Object.entries(merged).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    );
    const after = this.#mode();
    if (before === after) return;
    if (before !== 'none' || after === 'id') {
      throw new IngestError(
        'UNSUPPORTED',
        `Table ${this.#root}: ${MAPPING_MODE} cannot change from ${before} to ${after}.`,
        {
          fix: 'A table without column mapping can be set to name; for anything else make the table again (full refresh).',
          context: {table: this.#root},
        },
      );
    }
    this.#schema = mappedInPlace({configuration: this.#configuration}, this.#schema);
  }

  rename(path: string, name: string): void {
    const parent = path.slice(0, -lastName(this.#schema, path).length);
    if (!hasFieldAt(this.#schema, path)) {
      if (hasFieldAt(this.#schema, parent + name)) return;
      throw this.#unknown(path);
    }
    if (name === lastName(this.#schema, path)) return;
    this.#requireMapping(path, 'renamed');
    this.#refuseConstrained(path, 'renamed');
    this.operation = 'RENAME COLUMN';
    this.#schema = changeFieldAt(this.#schema, path, (field) => ({...field, name}));
    this.#partitionColumns = this.#partitionColumns.map((each) => (each === path ? name : each));
    const indexed = this.#configuration[INDEXED_COLUMNS];
    if (indexed !== undefined)
      this.#configuration = {...this.#configuration, [INDEXED_COLUMNS]: renamedInList(indexed, path, parent + name)};
  }

  drop(path: string): void {
    if (!hasFieldAt(this.#schema, path)) return;
    this.#requireMapping(path, 'dropped');
    this.#refuseConstrained(path, 'dropped');
    if (this.#partitionColumns.includes(path) || this.#isClusteredBy(path)) {
      throw new IngestError('UNSUPPORTED', `Column "${path}" of table ${this.#root} lays out its files: it stays.`, {
        fix: 'Make the table again with other partition or clustering columns.',
        context: {table: this.#root, column: path},
      });
    }
    this.operation = 'DROP COLUMNS';
    this.#schema = dropFieldAt(this.#schema, path);
  }

  widen(path: string, type: DataType): void {
    if (!hasFieldAt(this.#schema, path)) throw this.#unknown(path);
    const widened = changeFieldAt(this.#schema, path, (field) => widenedField(field, type, path));
    if (typesEqual(widened, this.#schema)) return;
    if (this.#configuration['delta.enableTypeWidening']?.toLowerCase() !== 'true') {
      throw new IngestError(
        'UNSUPPORTED',
        `Column "${path}" of table ${this.#root} has a wider type now, and the table was made without type widening.`,
        {
          fix: 'Set table_properties: {"delta.enableTypeWidening": "true"}, or read the table anew with a full refresh.',
          context: {table: this.#root, column: path},
        },
      );
    }
    this.#refuseConstrained(path, 'widened');
    this.operation = 'CHANGE COLUMN';
    this.#schema = widened;
    this.#isWidened = true;
  }

  add(columns: readonly StructField[]): void {
    const missing = columns.filter((column) => {
      const known = this.#schema.fields.find(({name}) => name === column.name);
      if (known === undefined) return true;
      if (typesEqual(known.type, column.type)) return false;
      throw new IngestError(
        'INCOMPATIBLE_SCHEMA_CHANGE',
        `Table ${this.#root} has a column "${column.name}" of another type.`,
        {
          fix: 'Widen the column, or give the new one another name.',
          context: {table: this.#root, column: column.name},
        },
      );
    });
    if (missing.length === 0) return;
    this.operation = 'ADD COLUMNS';
    const added = missing.map((column) => ({...column, nullable: true}));
    this.#schema = {type: 'struct', fields: [...this.#schema.fields, ...added]};
  }

  comment(path: string, comment: string | null): void {
    if (!hasFieldAt(this.#schema, path)) throw this.#unknown(path);
    this.#schema = changeFieldAt(this.#schema, path, (field) => {
      const {comment: before, ...metadata} = field.metadata;
      if ((before ?? null) === comment) return field;
      this.operation = 'CHANGE COLUMN';
      return {...field, metadata: comment === null ? metadata : {...metadata, comment}};
    });
  }

  relax(path: string): void {
    if (!hasFieldAt(this.#schema, path)) throw this.#unknown(path);
    this.#schema = changeFieldAt(this.#schema, path, (field) => {
      if (!field.nullable) this.operation = 'CHANGE COLUMN';
      return {...field, nullable: true};
    });
  }

  metadata(): Metadata {
    const configuration = this.#configuration;
    const schema = withColumnMetadata({configuration}, [this.#schema], this.#schema);
    if (schemaToJson(schema) !== schemaToJson(this.#base.schema))
      checkTableSchema(this.#root, schema, this.#partitionColumns);
    const {schemaString} = this.#base.metadata;
    const isSame = schemaToJson(schema) === schemaToJson(this.#base.schema);
    const metadata: Metadata = {
      ...this.#base.metadata,
      schemaString: isSame ? schemaString : schemaToJson(schema),
      partitionColumns: this.#partitionColumns,
      configuration,
    };
    return withMaxColumnId(metadata, schema);
  }

  /**
   * The table's protocol, raised where the properties ask for it. No column raises it by itself, but one that widens in a
   * table that is to widen: its readers know what they are in for.
   */
  protocol(metadata: Metadata, properties: Readonly<Record<string, string | null>>): TableSnapshot['protocol'] {
    const {protocol} = this.#base;
    if (Object.keys(properties).length === 0 && !this.#isWidened) return protocol;
    const schema = this.#isWidened ? this.#schema : this.#base.schema;
    return withFeatures(this.#root, {protocol, metadata, schema}, namedFeatures(properties));
  }

  #mode(): ReturnType<typeof mappingMode> {
    return mappingMode({configuration: this.#configuration});
  }

  #requireMapping(path: string, what: string): void {
    if (this.#mode() !== 'none') return;
    throw new IngestError(
      'UNSUPPORTED',
      `Column "${path}" of table ${this.#root} cannot be ${what}: its columns are not mapped.`,
      {
        fix: `Set table_properties: {"${MAPPING_MODE}": "name"}, or read the table anew with a full refresh.`,
        context: {table: this.#root, column: path},
      },
    );
  }

  #refuseConstrained(path: string, what: string): void {
    const name = constrainedColumns(this.#root, {schema: this.#schema, configuration: this.#configuration}).get(
      path.split('.')[0]?.toLowerCase() ?? '',
    );
    if (name === undefined) return;
    throw new IngestError(
      'UNSUPPORTED',
      `Column "${path}" of table ${this.#root} cannot be ${what}: the constraint ${name} names it.`,
      {
        fix: `Unset the property ${CONSTRAINT_PREFIX}${name} first.`,
        context: {table: this.#root, column: path, constraint: name},
      },
    );
  }

  #isClusteredBy(path: string): boolean {
    const domain = this.#base.domains.get('delta.clustering');
    if (domain === undefined || !hasFeature(this.#base.protocol, 'clustering')) return false;
    const physical: string[] = [];
    changeFieldAt(this.#schema, path, (field) => {
      physical.push(field.name, String(field.metadata['delta.columnMapping.physicalName'] ?? field.name));
      return field;
    });
    return physical.some((name) => domain.configuration.includes(JSON.stringify(name)));
  }

  #unknown(path: string): IngestError {
    return new IngestError('UNKNOWN_COLUMN', `Table ${this.#root} has no column "${path}".`, {
      context: {table: this.#root, column: path},
    });
  }
}

/** Table property: names of the columns that get statistics, between commas. */
const INDEXED_COLUMNS = 'delta.dataSkippingStatsColumns';

function renamedInList(list: string, path: string, now: string): string {
  const quoted = now.split('.').map((name) => (/^\w+$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``));
  const isSame = (name: string): boolean => name.trim().replaceAll('`', '') === path;
  return list
    .split(',')
    .map((name) => (isSame(name) ? quoted.join('.') : name))
    .join(',');
}

/** The last name of a path: all of it for a column whose name has dots. */
function lastName(schema: StructType, path: string): string {
  if (schema.fields.some(({name}) => name === path)) return path;
  return path.slice(path.lastIndexOf('.') + 1);
}
