import {IngestError} from '../core/errors.ts';
import type {DeltaTable} from '../delta/delta-table.ts';

/** A version of a table as people say it: its number, or a time at which it was the newest. */
export type VersionText = string;

const NUMBER = /^\d{1,15}$/;
const TIME = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?(?:Z|[+-]\d{2}:?\d{2})?$/;
const ZONE = /(?:Z|[+-]\d{2}:?\d{2})$/;

/**
 * The version that a text means. A time without a zone is UTC; one after the newest version means that.
 * @throws INVALID_OPTION for what is neither number nor time; NOT_A_DELTA_TABLE for a time before the oldest version.
 */
export async function versionOf(table: DeltaTable, text: VersionText): Promise<number> {
  return NUMBER.test(text) ? Number(text) : table.versionAtTime(timeOf(text));
}

/** Milliseconds since 1970 of a time in ISO 8601. @throws INVALID_OPTION */
export function timeOf(text: string): number {
  const timestampMs = TIME.test(text) ? Date.parse(inUtc(text)) : Number.NaN;
  if (!Number.isNaN(timestampMs)) return timestampMs;
  throw new IngestError('INVALID_OPTION', `"${text}" is no version and no time.`, {
    fix: 'Give the number of a version (sluice history), or a time as 2026-01-31T12:30:00Z.',
  });
}

function inUtc(text: string): string {
  const iso = text.replace(' ', 'T');
  // What the language reads as local time and what as UTC depends on the form.
  return ZONE.test(iso.slice('2026-01-31'.length))
    ? iso
    : iso.includes('T')
      ? `${iso}Z`
      : `${iso.slice(0, 10)}T00:00:00Z`;
}
