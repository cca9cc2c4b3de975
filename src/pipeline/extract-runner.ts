import type {QuarantinedRow} from '../core/coerce.ts';
import type {StructType} from '../core/types.ts';
import type {AddFile} from '../delta/actions.ts';
import type {Partition} from '../sdk/contract.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {ConnectionSpec} from './spec.ts';

/** Partitions to read into data files of one table: plain data, so that it can cross a thread, process or machine. */
export interface ExtractJob {
  readonly connection: ConnectionSpec;
  readonly flow: ResolvedFlow;
  /** The destination exists; files are written under its root. */
  readonly schema: StructType;
  readonly partitions: readonly Partition[];
  /** Read in this process, so many at once; null: wherever, one after the other in each process. */
  readonly parallelHere: number | null;
  /** Rows in all partitions; null when nobody knows. Small jobs are read where they are. */
  readonly estimatedRows: number | null;
  /** Microseconds since 1970. */
  readonly triggerStartedAt: bigint;
}

/** Part of a job that is done; several add up. */
export interface ExtractDone {
  /** Durable data files with statistics, in no version yet. */
  readonly files: readonly AddFile[];
  readonly rows: number;
  readonly bytes: number;
  readonly rescuedValues: number;
  readonly quarantined: readonly QuarantinedRow[];
}

/** Where partitions are read. At least once: files of an attempt that failed are orphans, which vacuum removes. */
export interface ExtractRunner {
  readonly kind: 'inline' | 'pool';
  /** Says that a job of about so many rows follows soon: what takes time to start may start now. */
  warm?(estimatedRows: number | null): void;
  run(job: ExtractJob, signal: AbortSignal): AsyncIterable<ExtractDone>;
}
