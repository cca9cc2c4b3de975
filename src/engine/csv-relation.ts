import {IngestError} from '../core/errors.ts';
import {csvRecords, firstBytes, recordLimit} from './csv-records.ts';
import type {Engine} from './engine.ts';
import {unreadableFile} from './file-errors.ts';
import type {FileInput, FileSettings, SourceColumn, SourceRelation} from './file-source.ts';
import {irregularCsvTable} from './irregular-files.ts';
import {quoteList, quoteLiteral} from './sql-types.ts';
import {textValue} from './text-values.ts';

/** Reads CSV files, grouped by their columns. Files that the engine's reader refuses go through a forgiving one. */
export async function openCsv(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<readonly SourceRelation[]> {
  const opened: SourceRelation[] = [];
  for (const group of await groupByColumns(files, signal)) {
    const regular = await regularFiles(engine, group, signal);
    const irregular = group.files.filter((file) => !regular.includes(file));
    if (regular.length > 0) opened.push(regularRelation({...group, files: regular}));
    for (const file of irregular) opened.push(await irregularRelation(engine, group, file, signal));
  }
  return opened;
}

/** CSV files with the same columns and settings. */
export interface CsvGroup {
  readonly files: readonly FileInput[];
  readonly settings: FileSettings;
  /** Unique names. */
  readonly names: readonly string[];
  /** No record is longer, in bytes; longer ones make a file irregular. */
  readonly recordLimit: number;
}

/** Longest line that the engine's reader is asked to take; its buffers are as large. */
export const MAX_LINE_BYTES: number = 1 << 24;

/** Groups files by the names of their columns; empty files are in none. */
export async function groupByColumns(files: readonly FileInput[], signal?: AbortSignal): Promise<readonly CsvGroup[]> {
  const groups = new Map<string, Omit<CsvGroup, 'recordLimit'> & {files: FileInput[]}>();
  for (const file of files) {
    const names = await columnNames(file, signal);
    if (names === null) continue;
    const key = JSON.stringify([names, file.options]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, {files: [file], settings: file.options, names});
    else group.files.push(file);
  }
  const sized: CsvGroup[] = [];
  for (const group of groups.values()) {
    const paths = group.files.map((file) => file.localPath);
    sized.push({...group, recordLimit: await recordLimit(paths, MAX_LINE_BYTES)});
  }
  return sized;
}

/** Columns whose texts are in `c0`, `c1`, .... */
function csvColumns(names: readonly string[]): readonly SourceColumn[] {
  return names.map((name, index) => ({
    name,
    typed: (field) => textValue(field, `c${index}`),
    present: `c${index} IS NOT NULL`,
    rawJson: `CAST(to_json(c${index}) AS VARCHAR)`,
  }));
}

/** Names by position: blank ones and repeated ones (case is ignored) get a number. */
export function uniqueNames(header: readonly (string | null)[]): readonly string[] {
  const taken = new Set<string>();
  return header.map((text, index) => {
    const name = (text ?? '').trim() === '' ? `_c${index}` : (text ?? '').trim();
    let unique = name;
    for (let count = 1; taken.has(unique.toLowerCase()); count++) unique = `${name}_${count}`;
    taken.add(unique.toLowerCase());
    return unique;
  });
}

async function columnNames(file: FileInput, signal?: AbortSignal): Promise<readonly string[] | null> {
  try {
    for await (const record of csvRecords(file.localPath, file.options, signal)) {
      return file.options.header === false ? record.fields.map((_, index) => `_c${index}`) : uniqueNames(record.fields);
    }
    return null;
  } catch (error) {
    throw unreadableFile(file, error);
  }
}

/** The files that the engine's strict reader reads to their end. */
async function regularFiles(engine: Engine, group: CsvGroup, signal?: AbortSignal): Promise<readonly FileInput[]> {
  if (await isRegular(engine, group, signal)) return group.files;
  if (group.files.length === 1) return [];
  const regular: FileInput[] = [];
  for (const file of group.files) {
    if (await isRegular(engine, {...group, files: [file]}, signal)) regular.push(file);
  }
  return regular;
}

async function isRegular(engine: Engine, group: CsvGroup, signal?: AbortSignal): Promise<boolean> {
  try {
    // Counting each column makes the reader decode all of them.
    const counts = group.names.map((_, index) => `count(c${index})`).join(', ');
    await engine.query(`SELECT ${counts} FROM ${readCsv(group)}`, signal);
    return !(await startsBlank(group));
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof IngestError && error.code === 'ENGINE_FAILED') return false;
    throw error;
  }
}

/** The engine takes a blank first line for the header. */
async function startsBlank(group: CsvGroup): Promise<boolean> {
  for (const file of group.files) {
    const [first] = await firstBytes(file.localPath, 1);
    if (first === 10 || first === 13) return true;
  }
  return false;
}

/** Files that the engine reads itself. */
export function regularRelation(group: CsvGroup): SourceRelation {
  return {from: readCsv(group), columns: csvColumns(group.names), filePath: 'filename', members: []};
}

/** A file that goes through a table of the engine, which the caller drops. */
export async function irregularRelation(
  engine: Engine,
  group: CsvGroup,
  file: FileInput,
  signal?: AbortSignal,
): Promise<SourceRelation> {
  const table = await irregularCsvTable(engine, file, group.names.length, signal);
  return {
    from: table,
    columns: csvColumns(group.names),
    filePath: quoteLiteral(file.localPath),
    members: ['members'],
    table,
  };
}

function readCsv(group: CsvGroup): string {
  const {settings} = group;
  const columns = group.names.map((_, index) => `c${index}: 'VARCHAR'`).join(', ');
  const quote = quoteLiteral(settings.quote ?? '"');
  const nulls = settings.nullText === undefined ? "''" : quoteList(['', settings.nullText]);
  const options = [
    `columns = {${columns}}`,
    'auto_detect = false',
    `header = ${settings.header ?? true}`,
    `delim = ${quoteLiteral(settings.delimiter ?? ',')}`,
    `quote = ${quote}`,
    `escape = ${quote}`,
    `nullstr = ${nulls}`,
    'allow_quoted_nulls = false',
    `max_line_size = ${group.recordLimit}`,
    `buffer_size = ${group.recordLimit}`,
    'filename = true',
  ];
  return `read_csv(${quoteList(group.files.map((file) => file.localPath))}, ${options.join(', ')})`;
}
