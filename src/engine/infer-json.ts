import {IngestError} from '../core/errors.ts';
import type {DataType, StructField} from '../core/types.ts';
import type {Engine} from './engine.ts';
import type {FileInput} from './file-source.ts';
import {inferTextTypes} from './infer-text-type.ts';
import {openRecords, type JsonRecords} from './json-relation.ts';
import {markJson, unmarkText} from './marked-json.ts';
import type {InferredSchema} from './merge-types.ts';
import {quoteLiteral} from './sql-types.ts';

/** Columns of the records of JSON files. Objects are structs, mixed values are strings of JSON text. */
export async function inferJson(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<InferredSchema> {
  if (files.length === 0) return [];
  const opened = await openRecords(engine, files, signal);
  try {
    const structure = await groupStructure(engine, sampled(opened, STRUCTURE_ROWS), signal);
    return structure === null ? [] : await refine(engine, sampled(opened, VALUE_ROWS), structure, signal);
  } finally {
    for (const {table} of opened) if (table !== undefined) await engine.dropTable(table);
  }
}

/** What `json_group_structure` gives: an object, a list of one, or the name of a type. */
type Structure = string | readonly Structure[] | {readonly [name: string]: Structure};

/** Records that show the structure, and those whose values are looked at. */
const STRUCTURE_ROWS = 1_000_000;
const VALUE_ROWS = 50_000;

function sampled(opened: readonly JsonRecords[], rows: number): string {
  const all = opened.map(({from}) => `(SELECT record FROM ${from} LIMIT ${rows})`).join(' UNION ALL ');
  return `(SELECT record FROM (${all}) WHERE CASE WHEN json_valid(record) THEN json_type(record) = 'OBJECT' ELSE false END)`;
}

async function groupStructure(
  engine: Engine,
  from: string,
  signal?: AbortSignal,
): Promise<{readonly [name: string]: Structure} | null> {
  const [row] = await engine.query(
    `SELECT CAST(json_group_structure(CAST(record AS JSON)) AS VARCHAR) AS structure FROM ${from}`,
    signal,
  );
  const text = row?.['structure'];
  if (typeof text !== 'string') return null;
  const structure = JSON.parse(text) as Structure;
  if (typeof structure === 'string' || isList(structure)) {
    throw new IngestError('BAD_RECORD', 'JSON records are expected to be objects.', {
      fix: 'Check the table options "format" and "json_shape".',
    });
  }
  return structure;
}

/** Looks at the values of columns and struct fields whose structure leaves the type open. */
async function refine(
  engine: Engine,
  from: string,
  structure: {readonly [name: string]: Structure},
  signal?: AbortSignal,
): Promise<InferredSchema> {
  const leaves = leavesOf(structure, '');
  const texts = leaves.map((leaf, index) => `${leafText(leaf)} AS t${index}`);
  const types = await inferTextTypes(
    engine,
    leaves.map((_, index) => `t${index}`),
    `(SELECT ${texts.join(', ')} FROM ${from})`,
    signal,
  );
  const refined = new Map(leaves.map((leaf, index) => [leaf.pointer, types[index] ?? null]));
  return Object.entries(structure).map(([name, inner]) => ({name, type: typeOf(inner, `/${escaped(name)}`, refined)}));
}

interface Leaf {
  readonly pointer: string;
  readonly kind: string;
}

function leavesOf(structure: Structure, pointer: string): readonly Leaf[] {
  if (typeof structure === 'string') return OPEN_KINDS.has(structure) ? [{pointer, kind: structure}] : [];
  if (isList(structure)) return [];
  return Object.entries(structure).flatMap(([name, inner]) => leavesOf(inner, `${pointer}/${escaped(name)}`));
}

const INTEGER_KINDS: ReadonlySet<string> = new Set(['BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT']);
const OPEN_KINDS: ReadonlySet<string> = new Set([...INTEGER_KINDS, 'VARCHAR', 'DOUBLE']);

function leafText({pointer, kind}: Leaf): string {
  const text = `json_extract_string(record, ${quoteLiteral(pointer)})`;
  if (kind !== 'DOUBLE') return text;
  // The engine would print the double; only a long number in the record can be more than that.
  return `CASE WHEN regexp_matches(record, '[0-9.]{19}') THEN ${unmarkText(`json_extract_string(${markJson('record')}, ${quoteLiteral(pointer)})`)} ELSE ${text} END`;
}

function typeOf(structure: Structure, pointer: string, refined: ReadonlyMap<string, DataType | null>): DataType | null {
  if (typeof structure === 'string') return leafType(structure, refined.get(pointer));
  if (isList(structure)) {
    const [element = 'NULL'] = structure;
    return {type: 'array', elementType: typeOf(element, `${pointer}/[]`, refined) ?? 'string', containsNull: true};
  }
  const fields = new Map<string, StructField>();
  for (const [name, inner] of Object.entries(structure)) {
    const type = typeOf(inner, `${pointer}/${escaped(name)}`, refined) ?? 'string';
    if (!fields.has(name.toLowerCase())) fields.set(name.toLowerCase(), {name, type, nullable: true, metadata: {}});
  }
  return fields.size === 0 ? 'string' : {type: 'struct', fields: [...fields.values()]};
}

function leafType(kind: string, refined: DataType | null | undefined): DataType | null {
  if (kind === 'NULL') return null;
  if (kind === 'BOOLEAN') return 'boolean';
  if (INTEGER_KINDS.has(kind))
    return refined === undefined || refined === null || refined === 'double' ? 'long' : refined;
  if (kind === 'DOUBLE') return typeof refined === 'object' && refined !== null ? refined : 'double';
  // Text that looks like a number stays text: the source had the choice.
  return kind === 'VARCHAR' && (refined === 'date' || refined === 'timestamp') ? refined : 'string';
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isList(structure: Structure): structure is readonly Structure[] {
  return Array.isArray(structure);
}
