import type {LogPoint, PlainJson} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';

/** Where a binary log stands. */
export interface LogPlace {
  /** Name of the file, e.g. `binlog.000012`. */
  readonly file: string;
  readonly offset: number;
  /** Transactions up to here, in the server's own notation. */
  readonly gtids: string;
  /** XA transactions that are prepared and not decided, with the numbers of the tables that they touched. */
  readonly prepared?: Readonly<Record<string, readonly number[]>>;
}

/** A file may be as long as this, in bits: 1 TB. */
const OFFSET_BITS = 40n;

/** Orders places of one server: number of the file, then offset. */
export function positionOf(file: string, offset: number): bigint {
  return (BigInt(/\.(\d+)$/.exec(file)?.[1] ?? '0') << OFFSET_BITS) | BigInt(offset);
}

/** A place as the framework keeps it. */
export function toPoint({file, offset, gtids, prepared = {}}: LogPlace): LogPoint {
  const open = Object.keys(prepared).length > 0 && {prepared};
  return {position: positionOf(file, offset), token: {file, offset, gtids, ...open}};
}

/** Reads what {@link toPoint} wrote. @throws STAGING_DAMAGED when it is something else */
export function fromPoint({token}: LogPoint): LogPlace {
  const {file, offset, gtids, prepared = null} = fieldsOf(token);
  if (typeof file === 'string' && typeof offset === 'number' && typeof gtids === 'string') {
    const open = Object.entries(fieldsOf(prepared)).map(([xid, tables]) => [
      xid,
      Array.isArray(tables) ? tables.map(Number) : [],
    ]);
    return {file, offset, gtids, prepared: Object.fromEntries(open) as Record<string, number[]>};
  }
  throw new IngestError('STAGING_DAMAGED', 'The place in the binary log that was kept cannot be read.', {
    fix: 'Refresh the tables in full.',
  });
}

/** The fields of a plain JSON object; none for anything else. */
export function fieldsOf(json: PlainJson): Readonly<Record<string, PlainJson>> {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Record<string, PlainJson>) : {};
}
