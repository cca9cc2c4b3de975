import type {Offset} from '../../core/offset.ts';
import type {Partition, TableOptions} from '../contract.ts';
import {expandPages} from './expand.ts';
import type {FindTable} from './partition-list.ts';
import type {PlanCall, PlanPages} from './plan-call.ts';
import type {Expand} from './rest-spec.ts';

/** How the reads of a table are cut into the partitions of the contract. */
export interface TableParts {
  /** Whether a read from this offset is cut; without I/O. */
  isCut(start: Offset | null, at: {readonly option: TableOptions; readonly nowMicros: bigint}): boolean;
  /** Where a read that is cut ends; the start when nothing is new. Null of a table that is read whole. */
  end(start: Offset | null, call: PlanCall): Promise<Offset | null>;
  /** The parts of (start, end]: plain JSON. */
  list(
    range: {readonly start: Offset | null; readonly end: Offset | null},
    call: PlanCall,
    find: FindTable,
  ): Promise<readonly Partition[]>;
  /** The rows of a part. */
  read(part: Partition, call: PlanCall): PlanPages;
}

/** Reads by a plan, or the children of what it reads. */
export function expanded(expand: Expand | undefined, read: (call: PlanCall) => PlanPages, call: PlanCall): PlanPages {
  return expand === undefined ? read(call) : expandPages(read, expand, call);
}
