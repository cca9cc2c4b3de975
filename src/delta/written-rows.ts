import {schemaFromJson} from '../core/schema-json.ts';
import type {StructType} from '../core/types.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from '../engine/sql-types.ts';
import type {Metadata} from './actions.ts';
import {checkRows, constraintsOf} from './constraints.ts';
import type {DeltaContext, DeltaTable, TableSnapshot} from './delta-table.ts';
import {renamedSql} from './file-names.ts';

/** A data file that was written and is in no version yet. */
export interface WrittenRows {
  readonly localPath: string;
  /** Columns of the file under their names in the table. */
  readonly tableSchema: StructType;
  /** The same columns under their names in the file. */
  readonly fileSchema: StructType;
  /** Texts of the partition columns, in the table's order. */
  readonly partition: readonly (string | null)[];
}

/** Checks the rows of a new file against the constraints of its table. @throws CONSTRAINT_VIOLATION; UNSUPPORTED. */
export async function checkWrittenRows(
  target: {readonly context: DeltaContext; readonly root: string; readonly snapshot: TableSnapshot},
  rows: WrittenRows,
): Promise<void> {
  const {context, root, snapshot} = target;
  const {schema, metadata} = snapshot;
  const constraints = constraintsOf(root, {
    schema: withNewColumns(schema, rows.tableSchema),
    configuration: metadata.configuration,
  });
  if (constraints.length === 0) return;
  const inFile = rows.tableSchema.fields.map((field, index) => {
    const stored = rows.fileSchema.fields[index] ?? field;
    return `${renamedSql(quoteIdentifier(stored.name), stored.type, field.type)} AS ${quoteIdentifier(field.name)}`;
  });
  const written = new Set(rows.tableSchema.fields.map(({name}) => name));
  const others = schema.fields.flatMap((field) => {
    if (written.has(field.name)) return [];
    const text = rows.partition[metadata.partitionColumns.indexOf(field.name)] ?? null;
    const value = text === null ? 'NULL' : quoteLiteral(text);
    return [`CAST(${value} AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`];
  });
  const from = `read_parquet(${quoteLiteral(rows.localPath)}, hive_partitioning = false)`;
  await checkRows(context.engine, {
    root,
    select: `SELECT ${[...inFile, ...others].join(', ')} FROM ${from}`,
    constraints,
  });
}

/**
 * Checks the rows that a table has against constraints that a change of its metadata adds.
 * @throws CONSTRAINT_VIOLATION; UNSUPPORTED.
 */
export async function checkStoredRows(
  context: DeltaContext,
  table: Pick<DeltaTable, 'root' | 'readSql'>,
  change: {readonly base: TableSnapshot; readonly metadata: Metadata | undefined},
): Promise<void> {
  const {base, metadata} = change;
  if (metadata === undefined || base.files.size === 0) return;
  const before = constraintsOf(table.root, {schema: base.schema, configuration: base.metadata.configuration});
  const known = new Set(before.map(({sql}) => sql));
  const schema = schemaFromJson(metadata.schemaString);
  const added = constraintsOf(table.root, {schema, configuration: metadata.configuration}).filter(
    ({sql, kind}) => kind === 'CHECK constraint' && !known.has(sql),
  );
  if (added.length === 0) return;
  await checkRows(context.engine, {
    root: table.root,
    select: await table.readSql({snapshot: base}),
    constraints: added,
  });
}

function withNewColumns(schema: StructType, written: StructType): StructType {
  const known = new Set(schema.fields.map(({name}) => name));
  return {type: 'struct', fields: [...schema.fields, ...written.fields.filter(({name}) => !known.has(name))]};
}
