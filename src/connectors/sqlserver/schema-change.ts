import type {SourceTable} from './catalog.ts';
import {typeToJson} from './column-type.ts';

type Definition = Pick<SourceTable, 'columns' | 'primaryKey'>;

/**
 * Why a table must be read anew after its definition changed: values of rows changed without a word in the changes. Null when they
 * did not, as with new columns that are NULL everywhere and with dropped ones.
 */
export function reasonToReset(before: Definition, after: Definition): string | null {
  if (JSON.stringify(before.primaryKey) !== JSON.stringify(after.primaryKey)) return 'its primary key changed';
  const known = new Map(before.columns.map((column) => [column.id, column]));
  for (const column of after.columns) {
    const old = known.get(column.id);
    if (old === undefined) {
      if (column.hasDefault || column.isComputed) return `column "${column.name}" was added with values`;
    } else if (old.name !== column.name) return `column "${old.name}" was renamed to "${column.name}"`;
    else if (JSON.stringify(typeToJson(old.type)) !== JSON.stringify(typeToJson(column.type)))
      return `the type of column "${column.name}" changed`;
  }
  return null;
}
