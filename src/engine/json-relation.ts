import {IngestError} from '../core/errors.ts';
import {isNested} from '../core/schema.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import {firstBytes, recordLimit} from './csv-records.ts';
import {MAX_LINE_BYTES} from './csv-relation.ts';
import type {Engine} from './engine.ts';
import {unreadableFile} from './file-errors.ts';
import {CORRUPT_MEMBER, type FileInput, type SourceColumn, type SourceRelation} from './file-source.ts';
import {irregularLinesTable} from './irregular-files.ts';
import {markJson, unmarkJson, unmarkText} from './marked-json.ts';
import {quoteList, quoteLiteral} from './sql-types.ts';
import {jsonValue, structureOf} from './text-values.ts';

/** How the records of a JSON file follow each other; `objects`: one after the other, over any number of lines. */
export type JsonShape = 'lines' | 'array' | 'objects';

/**
 * Reads JSON files: every record is taken as text and its fields are extracted with their exact number texts.
 * `ignored` are fields that nobody wants. @throws BAD_RECORD for an array that is not well-formed.
 */
export async function openJson(
  engine: Engine,
  files: readonly FileInput[],
  fields: JsonFields,
  signal?: AbortSignal,
): Promise<readonly SourceRelation[]> {
  const sources = await openRecords(engine, files, signal);
  return sources.map((source) => recordRelation(source, fields));
}

/** The fields of the records that are wanted, and those that are known but not wanted. */
export interface JsonFields {
  readonly schema: StructType;
  readonly ignored: readonly string[];
}

/** Records of JSON files as text. */
export interface JsonRecords {
  /** Has the columns `record` (NULL where there is none) and `filename`; `members` when `table` is there. */
  readonly from: string;
  /** Every record is well-formed. */
  readonly isValid: boolean;
  readonly table?: string;
}

/** Finds out the shape of JSON files and gives their records. */
export async function openRecords(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<readonly JsonRecords[]> {
  const byShape = new Map<JsonShape, FileInput[]>();
  for (const file of files) {
    const shape = await jsonShape(file);
    if (shape !== null) byShape.set(shape, [...(byShape.get(shape) ?? []), file]);
  }
  const opened: JsonRecords[] = [];
  for (const [shape, group] of byShape) {
    opened.push(
      ...(shape === 'lines' ? await openLines(engine, group, signal) : await openObjects(engine, group, shape, signal)),
    );
  }
  return opened;
}

/** The shape of a JSON file; null when it is empty. */
export async function jsonShape(file: FileInput): Promise<JsonShape | null> {
  const asked = file.options.jsonShape ?? 'auto';
  if (asked !== 'auto') return asked;
  let text: string;
  try {
    text = (await firstBytes(file.localPath, SHAPE_BYTES)).toString('utf8').trimStart();
  } catch (error) {
    throw unreadableFile(file, error);
  }
  if (text === '') return null;
  if (text.startsWith('[')) return 'array';
  const lines = text.split(/[\r\n]+/u, SHAPE_LINES);
  // One broken line does not make another shape; the last one may be cut off.
  return lines.length === 1 || lines.some(isJsonObject) ? 'lines' : 'objects';
}

const SHAPE_BYTES = 1 << 20;
const SHAPE_LINES = 20;
const MAX_OBJECT_BYTES = 1 << 26;

function isJsonObject(text: string): boolean {
  if (!text.startsWith('{')) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    // The question was whether it is.
    return false;
  }
}

async function openLines(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<readonly JsonRecords[]> {
  const whole = await readLines(files);
  if (await canRead(engine, whole, signal)) return [{from: whole, isValid: false}];
  const opened: JsonRecords[] = [];
  const regular: FileInput[] = [];
  for (const file of files) {
    if (files.length > 1 && (await canRead(engine, await readLines([file]), signal))) {
      regular.push(file);
      continue;
    }
    const table = await irregularLinesTable(engine, file, signal);
    opened.push({
      from: `(SELECT line AS record, members, ${quoteLiteral(file.localPath)} AS filename FROM ${table})`,
      table,
      isValid: false,
    });
  }
  if (regular.length > 0) opened.push({from: await readLines(regular), isValid: false});
  return opened;
}

async function openObjects(
  engine: Engine,
  files: readonly FileInput[],
  shape: 'array' | 'objects',
  signal?: AbortSignal,
): Promise<readonly JsonRecords[]> {
  const whole = await readObjects(files, shape);
  if (await canRead(engine, whole, signal)) return [{from: whole, isValid: true}];
  for (const file of files) {
    if (!(await canRead(engine, await readObjects([file], shape), signal))) throw unreadableFile(file, undefined);
  }
  throw new IngestError('ENGINE_FAILED', 'The engine refuses files together that it reads one by one.', {
    fix: 'Set "max_files_per_batch" to 1.',
  });
}

async function canRead(engine: Engine, from: string, signal?: AbortSignal): Promise<boolean> {
  try {
    await engine.query(`SELECT count(record) FROM ${from}`, signal);
    return true;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof IngestError && error.code === 'ENGINE_FAILED') return false;
    throw error;
  }
}

/** Lines as text: DuckDB's JSON reader would drop those that are not well-formed, and change numbers. */
async function readLines(files: readonly FileInput[]): Promise<string> {
  const paths = files.map((file) => file.localPath);
  const limit = await recordLimit(paths, MAX_LINE_BYTES);
  const format = `columns = {record: 'VARCHAR'}, auto_detect = false, header = false, delim = '', quote = '', escape = '', nullstr = ''`;
  const limits = `strict_mode = false, max_line_size = ${limit}, buffer_size = ${limit}`;
  const from = `read_csv(${quoteList(paths)}, ${format}, ${limits}, filename = true)`;
  return `(SELECT record, filename FROM ${from} WHERE record IS NOT NULL)`;
}

async function readObjects(files: readonly FileInput[], shape: 'array' | 'objects'): Promise<string> {
  const paths = files.map((file) => file.localPath);
  const format = shape === 'array' ? 'array' : 'unstructured';
  const limit = await recordLimit(paths, MAX_OBJECT_BYTES);
  const from = `read_json_objects(${quoteList(paths)}, format = '${format}', maximum_object_size = ${limit}, filename = true)`;
  return `(SELECT CAST("json" AS VARCHAR) AS record, filename FROM ${from})`;
}

/**
 * The fields of records. DuckDB's JSON functions pass numbers through a double, so records in which that could change
 * what lands are extracted from a marked text, in which numbers are strings.
 */
function recordRelation(source: JsonRecords, {schema, ignored}: JsonFields): SourceRelation {
  const structure = quoteLiteral(structureOf(schema));
  const known = quoteList([...schema.fields.map((field) => field.name), ...ignored]);
  const parsed = `SELECT *, CASE WHEN sound THEN json_transform(record, ${structure}) END AS f FROM (SELECT *, ${isSound(source)} AS sound FROM ${source.from})`;
  const exactness = schema.fields.map((field) => needsExact(field)).filter((sql) => sql !== null);
  const needs = exactness.length === 0 ? 'false' : `coalesce(${exactness.join(' OR ')}, false)`;
  const marked = `SELECT *, CASE WHEN exact THEN json_transform(${markJson('record')}, ${structure}) END AS m FROM (SELECT *, ${needs} AS exact FROM (${parsed}))`;
  const corrupt = `CASE WHEN NOT sound AND record IS NOT NULL THEN ${quoteLiteral(`"${CORRUPT_MEMBER}":`)} || CAST(to_json(record) AS VARCHAR) END`;
  const unknown = `CASE WHEN ${hasUnknown(schema, known)} THEN ${unknownMembers(known)} END`;
  return {
    from: `(${marked})`,
    columns: schema.fields.map(recordColumn),
    filePath: 'filename',
    members: [corrupt, unknown, ...(source.table === undefined ? [] : ['members'])],
    ...(source.table === undefined ? {} : {table: source.table}),
  };
}

/** True for a record that is a JSON object. */
function isSound(source: JsonRecords): string {
  const isObject = `CASE WHEN json_valid(record) THEN json_type(record) = 'OBJECT' ELSE false END`;
  return `CASE WHEN starts_with(record, '{') THEN ${source.isValid ? 'true' : 'json_valid(record)'} ELSE ${isObject} END`;
}

/** True for a record with a field that the schema does not know. As many keys as known fields with values: that settles most. */
function hasUnknown(schema: StructType, known: string): string {
  const values = schema.fields
    .map((field) => `CAST(struct_extract(f, ${quoteLiteral(field.name)}) IS NOT NULL AS INTEGER)`)
    .join(' + ');
  return `CASE WHEN NOT sound THEN false WHEN len(json_keys(record)) <= ${values} THEN false ELSE NOT list_has_all(${known}, json_keys(record)) END`;
}

function recordColumn(field: StructField): SourceColumn {
  const name = quoteLiteral(field.name);
  const plain = `struct_extract(f, ${name})`;
  const marked = `struct_extract(m, ${name})`;
  const exactNeeded = needsExact(field);
  // A text is taken from the marked record only if it is a number there; all other types understand marks.
  const exact =
    field.type === 'string' ? `CASE WHEN ${exactNeeded} THEN ${unmarkText(marked)} ELSE ${plain} END` : marked;
  const text = exactNeeded === null ? plain : `CASE WHEN exact THEN ${exact} ELSE ${plain} END`;
  return {
    name: field.name,
    typed: (wanted) => jsonValue(wanted, text),
    present: `${plain} IS NOT NULL`,
    rawJson: unmarkJson(`CAST(json_extract(${markJson('record')}, ${quoteLiteral(pointerTo(field.name))}) AS VARCHAR)`),
  };
}

function pointerTo(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function unknownMembers(known: string): string {
  const pointer = `'/' || replace(replace(k, '~', '~0'), '/', '~1')`;
  const member = `CAST(to_json(k) AS VARCHAR) || ':' || ${unmarkJson(`CAST(json_extract(${markJson('record')}, ${pointer}) AS VARCHAR)`)}`;
  const present = `NOT list_contains(${known}, k) AND json_type(record, ${pointer}) <> 'NULL'`;
  return `nullif(array_to_string(list_transform(list_filter(json_keys(record), lambda k: ${present}), lambda k: ${member}), ','), '')`;
}

/** When the text of a field, extracted plainly, may not be what the file says; null: never. Each test runs only where those around it passed. */
function needsExact({name, type}: StructField): string | null {
  const text = `CAST(struct_extract(f, ${quoteLiteral(name)}) AS VARCHAR)`;
  if (type === 'string') {
    return `CASE WHEN ${text} >= '-' AND ${text} < ':' THEN regexp_full_match(${text}, '-?[0-9][0-9.e+-]*[.e][0-9.e+-]*') ELSE false END`;
  }
  if (type === 'variant' || isNested(type))
    return holdsText(type) ? `regexp_matches(${text}, '[0-9.]{16}|[0-9][eE]')` : null;
  if (typeof type === 'string') return null;
  const isLong = `regexp_matches(record, '[0-9.]{17}')`;
  return `CASE WHEN starts_with(${text}, '"') THEN false WHEN contains(${text}, '.') THEN contains(${text}, 'e') OR ${isLong} ELSE contains(${text}, 'e') END`;
}

/** True when a type has a part in which the digits of a number count beyond a double's. */
function holdsText(type: DataType): boolean {
  if (typeof type === 'string') return type === 'string' || type === 'variant';
  switch (type.type) {
    case 'decimal':
      return true;
    case 'array':
      return holdsText(type.elementType);
    case 'map':
      return holdsText(type.keyType) || holdsText(type.valueType);
    case 'struct':
      return type.fields.some((field) => holdsText(field.type));
  }
}
