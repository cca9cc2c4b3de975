import type {StructType} from '../core/types.ts';
import {alterTable} from '../delta/alter-table.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Table property: JSON list of the columns that are the key of a row. */
export const PRIMARY_KEYS_PROPERTY = 'sluice.primaryKeys';

/**
 * Has the table say of itself what the source says now: comments of columns and the key. No commit when it does. Comments of
 * columns that the source says nothing of stay as they are.
 */
export async function describeTable(table: DeltaTable, flow: ResolvedFlow): Promise<void> {
  const keys = flow.keys.length === 0 ? null : JSON.stringify(flow.keys);
  const comments = changedComments(flow.tableSchema, table.snapshot.schema, '');
  const known = table.snapshot.metadata.configuration[PRIMARY_KEYS_PROPERTY] ?? null;
  if (known === keys && comments.size === 0) return;
  await alterTable(table, {properties: {[PRIMARY_KEYS_PROPERTY]: keys}, comments});
}

/** Comments by path, of fields that both schemas have. */
function changedComments(source: StructType, table: StructType, parent: string): ReadonlyMap<string, string> {
  const comments = new Map<string, string>();
  for (const field of table.fields) {
    const known = source.fields.find(({name}) => name === field.name);
    if (known === undefined) continue;
    const path = parent + field.name;
    const {comment} = known.metadata;
    if (typeof comment === 'string' && comment !== field.metadata['comment']) comments.set(path, comment);
    if (isStruct(known.type) && isStruct(field.type))
      for (const [at, text] of changedComments(known.type, field.type, `${path}.`)) comments.set(at, text);
  }
  return comments;
}

function isStruct(type: StructType['fields'][number]['type']): type is StructType {
  return typeof type === 'object' && type.type === 'struct';
}
