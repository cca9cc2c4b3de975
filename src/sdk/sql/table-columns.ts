import type {TableOptions} from '../contract.ts';
import type {SqlDoing} from './cursor-column.ts';
import {schemaChanged} from './table-options.ts';

/** The columns that are read: those the framework asks for, else all. @throws SOURCE_SCHEMA_CHANGED when one has vanished. */
export function selectedColumns<C extends {readonly name: string}>(
  all: readonly C[],
  options: TableOptions,
  doing: SqlDoing,
): readonly C[] {
  const wanted = options['columns'];
  if (!Array.isArray(wanted)) return all;
  const names = new Set(wanted.map(String));
  const columns = all.filter((column) => names.has(column.name));
  if (columns.length !== names.size) throw schemaChanged(doing);
  return columns;
}

/** The columns of the key that the source enforces, in its order. */
export function keyColumns<C extends {readonly name: string}>({
  columns,
  keys,
}: {
  readonly columns: readonly C[];
  readonly keys: readonly string[];
}): readonly C[] {
  return keys.flatMap((name) => columns.filter((column) => column.name === name));
}
