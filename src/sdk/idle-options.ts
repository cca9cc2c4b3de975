import {isDeepStrictEqual} from 'node:util';

import {IngestError} from '../core/errors.ts';
import type {TableOptions} from './contract.ts';
import type {OptionSpecs} from './define-connector.ts';

/** What the framework hands to every connector that declares it. */
const HANDED: ReadonlySet<string> = new Set(['columns', 'primary_keys', 'cursor_column', 'max_records_per_batch']);

/**
 * Refuses options that do nothing for a table, so that nobody believes in a filter that is none. `taken` are the names of those
 * that do something for it, `declared` all table options of the connector: a default is no request.
 * @throws INVALID_OPTION naming table and option.
 */
export function refuseIdleOptions(
  table: string,
  options: TableOptions,
  {taken, declared}: {readonly taken: readonly string[]; readonly declared: OptionSpecs},
): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || taken.includes(name) || HANDED.has(name)) continue;
    if (isDeepStrictEqual(declared[name]?.default, value)) continue;
    throw new IngestError('INVALID_OPTION', `The table option "${name}" does nothing for table "${table}".`, {
      fix:
        taken.length === 0
          ? `Remove ${name}: the table takes no options.`
          : `Remove ${name}. The table takes ${taken.join(', ')}.`,
      context: {table, option: name},
    });
  }
}
