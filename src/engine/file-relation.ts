import {RESCUED_COLUMN, type StructField, type StructType} from '../core/types.ts';
import {openCsv} from './csv-relation.ts';
import type {Engine} from './engine.ts';
import type {FileFormat, FileInput, SourceColumn, SourceRelation} from './file-source.ts';
import {openJson} from './json-relation.ts';
import {openParquet} from './parquet-relation.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from './sql-types.ts';

/** How files are read as rows of a schema. */
export interface FileSelectOptions {
  /** Columns of the files that nobody wants: they are not rescued. */
  readonly ignoredColumns?: readonly string[];
  /** Adds the column `__ord`, BIGINT: rows numbered in the order of the files. Costs the parallel read. */
  readonly ordered?: boolean;
  readonly signal?: AbortSignal;
}

/** A SELECT over files; dispose it when the rows are read. */
export interface FileSelect extends AsyncDisposable {
  /**
   * Columns of the schema in order, with its types, then `_rescued_data`: a JSON object of what did not fit, by column
   * name, with `_file_path`; NULL when everything fitted. It can be run more than once.
   */
  readonly select: string;
}

/**
 * Makes a SELECT that reads CSV, JSON and Parquet files as rows of a schema and loses nothing: a value that does not fit
 * its column is NULL there and in `_rescued_data`; so are columns that the schema does not know, and the text of records
 * that are not well-formed (`_corrupt_record`). Columns that a file lacks are NULL. Parquet files whose types are those
 * of the schema are read without any check.
 * Every CSV and JSON file is read through once before, to know whether the engine's own reader can be trusted with it.
 * @throws BAD_RECORD for a file that cannot be read as its format at all.
 */
export async function fileSelect(
  engine: Engine,
  files: readonly FileInput[],
  schema: StructType,
  options: FileSelectOptions = {},
): Promise<FileSelect> {
  const wanted = schema.fields.filter((field) => field.name !== RESCUED_COLUMN);
  const relations = await openRelations(
    engine,
    files,
    {fields: wanted, ignored: new Set(options.ignoredColumns)},
    options.signal,
  );
  const pathOf = pathMap(files);
  const selects = relations.map((relation) => relationSelect(relation, wanted, options, pathOf));
  const union = selects.length === 0 ? emptySelect(wanted) : selects.join(' UNION ALL ');
  return {
    select: options.ordered === true ? `SELECT *, row_number() OVER () AS __ord FROM (${union})` : union,
    [Symbol.asyncDispose]: async () => {
      for (const {table} of relations) if (table !== undefined) await engine.dropTable(table);
    },
  };
}

interface WantedFields {
  readonly fields: readonly StructField[];
  readonly ignored: ReadonlySet<string>;
}

async function openRelations(
  engine: Engine,
  files: readonly FileInput[],
  {fields, ignored}: WantedFields,
  signal?: AbortSignal,
): Promise<readonly SourceRelation[]> {
  const of = (format: FileFormat): readonly FileInput[] => files.filter((file) => file.options.format === format);
  const json = {schema: {type: 'struct', fields}, ignored: [...ignored]} as const;
  return [
    ...(await openCsv(engine, of('csv'), signal)),
    ...(await openJson(engine, of('json'), json, signal)),
    ...(await openParquet(engine, of('parquet'), signal)),
  ];
}

function relationSelect(
  relation: SourceRelation,
  fields: readonly StructField[],
  options: FileSelectOptions,
  pathOf: (filePath: string) => string,
): string {
  const byName = new Map(relation.columns.map((column) => [column.name, column]));
  const typed = fields.map((field, index) => {
    const column = byName.get(field.name);
    return {field, column, sql: column?.typed(field), alias: `v${index}`};
  });
  const entries = [
    ...typed.flatMap(({column, sql, alias}) =>
      column === undefined || sql?.misfit == null ? [] : [{column, when: sql.misfit(alias)}],
    ),
    ...unknownColumns(relation, fields, options).map((column) => ({column, when: column.present})),
  ];
  const values = typed.map(
    ({field, sql, alias}) => `${sql === undefined ? `NULL::${sqlType(field.type)}` : sql.value} AS ${alias}`,
  );
  const inner = `(SELECT *, ${values.join(', ')} FROM ${relation.from})`;
  const columns = typed.map(({field, alias}) => `${alias} AS ${quoteIdentifier(field.name)}`);
  const rescued = rescuedSql(entries, relation.members, pathOf(relation.filePath));
  return `SELECT ${[...columns, `${rescued} AS ${quoteIdentifier(RESCUED_COLUMN)}`].join(', ')} FROM ${inner}`;
}

function unknownColumns(
  relation: SourceRelation,
  fields: readonly StructField[],
  options: FileSelectOptions,
): readonly SourceColumn[] {
  const known = new Set([...fields.map((field) => field.name), ...(options.ignoredColumns ?? [])]);
  return relation.columns.filter((column) => !known.has(column.name));
}

function rescuedSql(
  entries: readonly {readonly column: SourceColumn; readonly when: string}[],
  members: readonly string[],
  filePath: string,
): string {
  if (entries.length === 0 && members.length === 0) return 'NULL::VARCHAR';
  const any = [...entries.map((entry) => entry.when), ...members.map((member) => `${member} IS NOT NULL`)].join(' OR ');
  const parts = [
    ...entries.map(
      ({column, when}) =>
        `CASE WHEN ${when} THEN ${quoteLiteral(`${JSON.stringify(column.name)}:`)} || ${column.rawJson} END`,
    ),
    ...members,
    `'"_file_path":' || CAST(to_json(${filePath}) AS VARCHAR)`,
  ];
  return `CASE WHEN ${any} THEN '{' || concat_ws(',', ${parts.join(', ')}) || '}' END`;
}

/** Turns local paths into the paths that users know; the SQL is run for rows with rescued data only. */
function pathMap(files: readonly FileInput[]): (filePath: string) => string {
  const renamed = files.filter((file) => file.path !== undefined && file.path !== file.localPath);
  if (renamed.length === 0) return (filePath) => filePath;
  const cases = renamed
    .map((file) => `WHEN ${quoteLiteral(file.localPath)} THEN ${quoteLiteral(file.path ?? '')}`)
    .join(' ');
  return (filePath) => `CASE ${filePath} ${cases} ELSE ${filePath} END`;
}

function emptySelect(fields: readonly StructField[]): string {
  const columns = fields.map((field) => `NULL::${sqlType(field.type)} AS ${quoteIdentifier(field.name)}`);
  return `SELECT ${[...columns, `NULL::VARCHAR AS ${quoteIdentifier(RESCUED_COLUMN)}`].join(', ')} WHERE false`;
}
