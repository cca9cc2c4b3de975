import type {OptionSpec} from './define-connector.ts';

/** Table options that mean the same in every connector that takes them. */
export type FrameworkOption = 'start_timestamp' | 'window_seconds' | 'lookback_seconds' | 'max_records_per_batch';

/** Declarations of these options, for the `table` part of a connector's spec. */
export const FRAMEWORK_OPTIONS: Readonly<Record<FrameworkOption, OptionSpec>> = {
  start_timestamp: {
    type: 'string',
    description:
      'Timestamp like 2026-01-31T12:00:00Z where the first read begins, itself included. Default: at the oldest row, or what the table says.',
  },
  window_seconds: {
    type: 'integer',
    min: 1,
    description:
      'Length in seconds of the windows of time in which the table is read; a micro-batch ends with a window.',
  },
  lookback_seconds: {
    type: 'integer',
    min: 0,
    description: 'Seconds before the last offset that every run reads again, for rows that become visible late.',
  },
  max_records_per_batch: {
    type: 'integer',
    min: 1,
    description: 'Records after which a micro-batch ends, at the next place where it may.',
  },
};

/** The declarations of some of these options. */
export function frameworkOptions(names: readonly FrameworkOption[]): Readonly<Record<string, OptionSpec>> {
  return Object.fromEntries(names.map((name) => [name, FRAMEWORK_OPTIONS[name]]));
}
