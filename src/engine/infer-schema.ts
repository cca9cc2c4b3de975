import {IngestError} from '../core/errors.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import {groupByColumns, irregularRelation, regularRelation, type CsvGroup} from './csv-relation.ts';
import {toDataType} from './engine-type-text.ts';
import type {Engine} from './engine.ts';
import type {FileInput} from './file-source.ts';
import {inferJson} from './infer-json.ts';
import {inferTextTypes} from './infer-text-type.ts';
import {type InferredSchema, mergeSchemas} from './merge-types.ts';
import {groupParquet} from './parquet-relation.ts';

/** Rows of one group of files whose values are looked at. */
const SAMPLE_ROWS = 200_000;

/**
 * A schema that holds the given files: all of them are looked at, the first rows of each group. The same files give the
 * same schema. Columns are nullable, integers of texts are `long`; a column without values is a string.
 * @throws BAD_RECORD for a file that cannot be read as its format at all.
 */
export async function inferFileSchema(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<StructType> {
  const found: InferredSchema[] = [];
  for (const group of await groupByColumns(ofFormat(files, 'csv'), signal))
    found.push(await inferCsv(engine, group, signal));
  found.push(await inferJson(engine, ofFormat(files, 'json'), signal));
  for (const group of await groupParquet(engine, ofFormat(files, 'parquet'), signal)) {
    found.push(group.columns.map(({name, type}) => ({name, type: toDataType(type)})));
  }
  return toSchema(found);
}

async function inferCsv(engine: Engine, group: CsvGroup, signal?: AbortSignal): Promise<InferredSchema> {
  const columns = group.names.map((_, index) => `c${index}`);
  const regular = `(SELECT * FROM ${regularRelation(group).from} LIMIT ${SAMPLE_ROWS})`;
  const types = await inferTextTypes(engine, columns, regular, signal).catch(async (error: unknown) => {
    signal?.throwIfAborted();
    if (!(error instanceof IngestError) || error.code !== 'ENGINE_FAILED') throw error;
    return inferIrregular(engine, group, columns, signal);
  });
  return group.names.map((name, index) => ({name, type: types[index] ?? null}));
}

/** The group's first file stands for all when the engine's reader cannot be trusted with them. */
async function inferIrregular(
  engine: Engine,
  group: CsvGroup,
  columns: readonly string[],
  signal?: AbortSignal,
): Promise<readonly (DataType | null)[]> {
  const [file] = group.files;
  if (file === undefined) return [];
  const relation = await irregularRelation(engine, group, file, signal);
  try {
    return await inferTextTypes(engine, columns, `(SELECT * FROM ${relation.from} WHERE members IS NULL)`, signal);
  } finally {
    if (relation.table !== undefined) await engine.dropTable(relation.table);
  }
}

function toSchema(found: readonly InferredSchema[]): StructType {
  const named = found.map(
    (columns) =>
      ({
        type: 'struct',
        fields: columns.flatMap(({name, type}) => (type === null ? [] : [field(name, type)])),
      }) as const,
  );
  const typed = named.reduce<StructType>(mergeSchemas, {type: 'struct', fields: []});
  const types = new Map(typed.fields.map(({name, type}) => [name.toLowerCase(), {name, type}]));
  const fields = new Map<string, StructField>();
  for (const {name} of found.flat()) {
    const key = name.toLowerCase();
    const known = types.get(key);
    if (!fields.has(key)) fields.set(key, field(known?.name ?? name, known?.type ?? 'string'));
  }
  return {type: 'struct', fields: [...fields.values()]};
}

function field(name: string, type: DataType): StructField {
  return {name, type, nullable: true, metadata: {}};
}

function ofFormat(files: readonly FileInput[], format: FileInput['options']['format']): readonly FileInput[] {
  return files.filter((file) => file.options.format === format);
}
