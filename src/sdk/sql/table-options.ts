import {IngestError} from '../../core/errors.ts';
import type {OptionSpecs} from '../define-connector.ts';
import type {SqlDoing} from './cursor-column.ts';

/** Options of tables that are read by queries. */
export const QUERY_OPTIONS: OptionSpecs = {
  cursor_column: {
    type: 'string',
    description: 'Column that grows with every change of a row; without one the table is read whole in every run.',
  },
  lookback_seconds: {
    type: 'integer',
    default: 0,
    min: 0,
    max: 31_536_000,
    description:
      'How far behind the last value rows are read again, for rows that are committed late. Needs a time as cursor and a key.',
  },
  columns: {type: 'string[]', description: 'Columns to read; default: all.'},
  primary_keys: {type: 'string[]', description: 'Columns that identify a row, where the database declares none.'},
};

/** Columns vanished or changed their type between planning and reading. */
export function schemaChanged({what, table}: SqlDoing, cause?: unknown): IngestError {
  return new IngestError('SOURCE_SCHEMA_CHANGED', `Cannot ${what}: its columns changed meanwhile.`, {
    fix: 'Run again: the next attempt reads the new columns.',
    context: table === undefined ? {} : {table},
    cause,
  });
}
