import {createCoercer} from '../../core/coerce.ts';
import {isIngestError, messageOf} from '../../core/errors.ts';
import {stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {toDdl} from '../../core/schema-ddl.ts';
import {landedSchema} from '../../core/schema.ts';
import {RESCUED_COLUMN, type StructType} from '../../core/types.ts';
import type {Connector, Page, ReadContext, TableMetadata, TableOptions} from '../../sdk/contract.ts';
import type {ConnectorSpec} from '../../sdk/define-connector.ts';
import {firstPages} from '../first-pages.ts';
import {previewOptions} from './preview-options.ts';

/** What `connector dev` shows of one table. */
export interface TablePreview {
  readonly table: string;
  /** Columns as DDL; null when they could not be asked. */
  readonly schema: StructType | null;
  readonly ddl: string | null;
  readonly metadata: TableMetadata | null;
  /** The first rows, as the source gave them. */
  readonly rows: readonly JsonObject[];
  /** Rows, files or batches of pages that are no records. */
  readonly others: string | null;
  readonly pages: number;
  readonly rowsRead: number;
  /** What would go wrong, in sentences. */
  readonly problems: readonly string[];
}

/** What a preview works with. */
export interface PreviewSource {
  readonly connector: Connector;
  readonly spec: ConnectorSpec;
  readonly ctx: ReadContext;
}

/** Rows that are looked at for problems, beyond those that are shown. */
const CHECKED_ROWS = 200;

/** Asks a table for its columns, keys and first rows and says what would keep them from landing as they are. Never throws for the source's errors. */
export async function previewSourceTable(
  source: PreviewSource,
  table: string,
  options: {readonly written: TableOptions; readonly limit: number},
): Promise<TablePreview> {
  const {connector, ctx} = source;
  const problems: string[] = [];
  const attempt = async <T>(what: string, task: () => Promise<T>): Promise<T | null> => {
    try {
      return await task();
    } catch (error) {
      problems.push(`${what}: ${problemText(error)}`);
      return null;
    }
  };
  const taken = await attempt('options', async () => previewOptions(source.spec, table, options.written));
  if (taken === null) return {...NOTHING, table, problems};
  const asked = taken.options;
  const schema = await attempt('schema', () => connector.getTableSchema(table, asked, ctx));
  const metadata = await attempt('metadata', () => connector.readTableMetadata(table, asked, ctx));
  const read = {rows: new Array<JsonObject>(), pages: 0, others: new Set<string>()};
  await attempt('read', async () => {
    for await (const page of firstPages(connector, {table, options: asked, ctx})) {
      read.pages++;
      takeRows(page, read);
      if (read.rows.length >= Math.max(options.limit, CHECKED_ROWS) || read.pages >= MAX_PAGES) break;
    }
  });
  const rows =
    schema === null || metadata === null
      ? read.rows
      : await attempt('options', async () => taken.wanted(read.rows, metadata, schema));
  if (schema !== null && metadata !== null)
    problems.push(...shapeProblems(schema, metadata), ...rowProblems(rows ?? [], schema, metadata));
  return {
    table,
    schema,
    ddl: schema === null ? null : toDdl(schema),
    metadata,
    rows: (rows ?? []).slice(0, options.limit),
    others: read.others.size === 0 ? null : [...read.others].join(', '),
    pages: read.pages,
    rowsRead: read.rows.length,
    problems,
  };
}

/** A table may give empty pages for a while. */
const MAX_PAGES = 20;

const NOTHING = {schema: null, ddl: null, metadata: null, rows: [], others: null, pages: 0, rowsRead: 0} as const;

function takeRows(page: Page, read: {rows: JsonObject[]; readonly others: Set<string>}): void {
  if ('kind' in page) {
    if (page.kind === 'records') read.rows.push(...page.rows);
    else if (page.kind === 'changes')
      read.rows.push(...page.changes.flatMap(({row}) => (row === undefined ? [] : [row])));
    else if (page.kind === 'files') for (const {file} of page.files) read.others.add(file.path);
    else read.others.add('batches of columns');
  } else read.rows.push(...page);
}

function shapeProblems(schema: StructType, metadata: TableMetadata): readonly string[] {
  const names = new Set(schema.fields.map((field) => field.name));
  const missing = (name: string): boolean => !names.has(name.split('.')[0] ?? name);
  const problems = metadata.primaryKeys.filter(missing).map((name) => `The key "${name}" is no column of the schema.`);
  const {cursorField, ingestionType} = metadata;
  if (cursorField !== undefined && missing(cursorField))
    problems.push(`The cursor field "${cursorField}" is no column of the schema.`);
  if (ingestionType.startsWith('cdc') && metadata.primaryKeys.length === 0)
    problems.push(`A table of type ${ingestionType} needs a primary key.`);
  return problems;
}

/** What the coercion of the rows finds. */
function rowProblems(rows: readonly JsonObject[], schema: StructType, {primaryKeys}: TableMetadata): readonly string[] {
  if (rows.length === 0) return [];
  const withRescue = {
    ...schema,
    fields: [
      ...schema.fields.filter((field) => field.name !== RESCUED_COLUMN),
      {name: RESCUED_COLUMN, type: 'string' as const, nullable: true, metadata: {}},
    ],
  };
  const coercer = createCoercer(landedSchema(withRescue), {keys: primaryKeys, rescue: true});
  for (const row of rows) coercer.add(row);
  const {rescuedValues, quarantined, unknownFields} = coercer.take();
  const problems = [...new Set(quarantined.map(({reason, path}) => `${path || 'a row'}: ${reason}`))].map(
    (text) => `Rows cannot land: ${text}.`,
  );
  if (rescuedValues > 0)
    problems.push(`${rescuedValues} values do not fit their column's type and would go to ${RESCUED_COLUMN}.`);
  for (const [name, count] of unknownFields)
    problems.push(`The field "${name}" of ${count} rows is no column: it is left out.`);
  const keys = new Set(rows.map((row) => stringifyJson(primaryKeys.map((key) => row[key] ?? null))));
  if (primaryKeys.length > 0 && primaryKeys.every((key) => !key.includes('.')) && keys.size < rows.length)
    problems.push(`${rows.length - keys.size} of the first ${rows.length} rows repeat a key.`);
  return problems;
}

function problemText(error: unknown): string {
  if (!isIngestError(error)) return messageOf(error);
  return `[${error.code}] ${error.message}${error.fix === undefined ? '' : ` ${error.fix}`}`;
}
