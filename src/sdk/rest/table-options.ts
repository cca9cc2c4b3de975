import {isDeepStrictEqual} from 'node:util';

import {IngestError} from '../../core/errors.ts';
import type {TableOptions} from '../contract.ts';
import type {OptionSpecs} from '../define-connector.ts';
import {frameworkOptions, type FrameworkOption} from '../framework-options.ts';
import {refuseIdleOptions} from '../idle-options.ts';
import {openFormat} from './cursor-format.ts';
import type {ReadPlan} from './read-plan.ts';
import type {RestConnectorSpec, RestTable} from './rest-spec.ts';

/** Options of the framework that mean something for a table read by this plan. */
export function planOptions(plan: ReadPlan): readonly FrameworkOption[] {
  switch (plan.kind) {
    case 'window':
      return ['start_timestamp', 'window_seconds', 'lookback_seconds'];
    case 'sorted':
    case 'descending':
      return openFormat(plan.format).isTime ? ['start_timestamp', 'lookback_seconds'] : [];
    default:
      return [];
  }
}

const ANY_OPTION: readonly FrameworkOption[] = ['start_timestamp', 'window_seconds', 'lookback_seconds'];

/**
 * All table options of a connector: those of every table, those of the framework that some table takes, and those of single tables.
 * @throws INVALID_SPEC when two tables declare one option differently.
 */
export function connectorTableOptions(spec: RestConnectorSpec): OptionSpecs {
  const {tables} = spec;
  if (!isFixed(tables)) return {...spec.table, ...frameworkOptions(ANY_OPTION), ...tables.options};
  const used = new Set(tables.flatMap((table) => planOptions(table.read)));
  const all: Record<string, OptionSpecs[string]> = {
    ...frameworkOptions(ANY_OPTION.filter((name) => used.has(name))),
    ...spec.table,
  };
  for (const table of tables) {
    for (const [name, option] of Object.entries(table.options ?? {})) {
      const known = all[name];
      if (known !== undefined && !isDeepStrictEqual(known, option)) throw declaredTwice(table.name, name);
      all[name] = option;
    }
  }
  return all;
}

/**
 * Refuses options that do nothing for a table, so that nobody believes in a filter that is none.
 * @throws INVALID_OPTION naming table and option.
 */
export function checkTableOptions(spec: RestConnectorSpec, table: RestTable, options: TableOptions): void {
  const taken = [...Object.keys(spec.table ?? {}), ...Object.keys(table.options ?? {}), ...planOptions(table.read)];
  refuseIdleOptions(table.name, options, {taken, declared: connectorTableOptions(spec)});
}

/** True for a fixed list of tables. */
export function isFixed(tables: RestConnectorSpec['tables']): tables is readonly RestTable[] {
  return Array.isArray(tables);
}

/** A table that is known without asking the source; null for others. */
export function knownTable(tables: RestConnectorSpec['tables'], name: string): RestTable | null {
  const known = isFixed(tables) ? tables : (tables.fixed ?? []);
  return known.find((table) => table.name === name) ?? null;
}

function declaredTwice(table: string, option: string): IngestError {
  return new IngestError(
    'INVALID_SPEC',
    `Table "${table}" declares the option "${option}" in another way than the rest of the connector.`,
    {
      fix: 'Give it another name, or declare it once for all tables.',
      context: {table, option},
    },
  );
}
