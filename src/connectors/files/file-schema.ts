import {
  IngestError,
  RESCUED_COLUMN,
  type CallContext,
  type FileReadOptions,
  type SourceFile,
  type StructField,
  type StructType,
} from '../../sdk/index.ts';
import type {TableFile} from './file-tables.ts';
import type {FileTableOptions} from './options.ts';

/**
 * The columns of a table of files: those that landed keep their types, hints come before what the files look like, and
 * new columns are taken as `schema_evolution_mode` says.
 * @throws UNKNOWN_TABLE when there is nothing to go by; INCOMPATIBLE_SCHEMA_CHANGE for new columns in the mode FAIL_ON_NEW_COLUMNS.
 */
export async function fileSchema(
  table: string,
  files: readonly TableFile[],
  options: FileTableOptions,
  ctx: CallContext,
): Promise<StructType> {
  const landed = ((await ctx.landedSchema?.())?.fields ?? []).filter((field) => !TECHNICAL.has(field.name));
  const found = await inferFields(files, options, ctx);
  const wanted = withHints(found, options.hints);
  const isNew = newcomers(landed);
  const fields =
    landed.length === 0
      ? wanted
      : [...landed, ...wanted.filter((field) => options.evolution === 'ADD_NEW_COLUMNS' && isNew(field))];
  if (landed.length > 0 && options.evolution === 'FAIL_ON_NEW_COLUMNS') refuseNew(table, found.filter(isNew));
  if (fields.length > 0) return {type: 'struct', fields};
  throw new IngestError('UNKNOWN_TABLE', `Table "${table}" has no file yet that can be read.`, {
    fix: 'Put a file into the folder, or check the table options "pattern" and "format".',
    context: {table},
  });
}

/** Columns of ours, which no file has. */
const TECHNICAL: ReadonlySet<string> = new Set([RESCUED_COLUMN, '_sluice_sequence', '_change_type']);

/** Oldest files first: what came first decides, so that the schema stays when files are added. */
async function inferFields(
  files: readonly TableFile[],
  options: FileTableOptions,
  ctx: CallContext,
): Promise<readonly StructField[]> {
  const groups = new Map<string, {readonly read: FileReadOptions; readonly files: SourceFile[]}>();
  for (const {file, options: read} of [...files].sort(
    (left, right) => left.file.modifiedAtMs - right.file.modifiedAtMs,
  )) {
    const group = groups.get(JSON.stringify(read));
    if (group === undefined) groups.set(JSON.stringify(read), {read, files: [file]});
    else group.files.push(file);
  }
  const fields = new Map<string, StructField>();
  for (const group of groups.values()) {
    const inferred = await ctx.files.inferSchema(group.files, group.read);
    const asText = !options.inferTypes && group.read.format !== 'parquet';
    for (const field of inferred.fields) {
      const key = field.name.toLowerCase();
      if (!fields.has(key)) fields.set(key, asText ? {...field, type: 'string'} : field);
    }
  }
  return [...fields.values()];
}

function withHints(found: readonly StructField[], hints: StructType): readonly StructField[] {
  const hinted = new Map(hints.fields.map((field) => [field.name.toLowerCase(), field]));
  const isNew = newcomers(found);
  const typed = found.map((field) => {
    const hint = hinted.get(field.name.toLowerCase());
    return hint === undefined ? field : {...field, type: hint.type, metadata: {...field.metadata, ...hint.metadata}};
  });
  return [...typed, ...hints.fields.filter(isNew).map((field) => ({...field, nullable: true}))];
}

function newcomers(known: readonly StructField[]): (field: StructField) => boolean {
  const names = new Set(known.map((field) => field.name.toLowerCase()));
  return (field) => !names.has(field.name.toLowerCase());
}

function refuseNew(table: string, fields: readonly StructField[]): void {
  if (fields.length === 0) return;
  const names = fields.map((field) => `"${field.name}"`).join(', ');
  throw new IngestError(
    'INCOMPATIBLE_SCHEMA_CHANGE',
    `Files of table "${table}" have columns that the table lacks: ${names}.`,
    {
      fix: 'Set schema_evolution_mode to ADD_NEW_COLUMNS for one run, or to RESCUE, or remove the columns from the files.',
      context: {table},
    },
  );
}
