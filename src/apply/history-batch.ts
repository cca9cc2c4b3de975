import {IngestError} from '../core/errors.ts';
import type {BatchContext, TableChange} from './batch-context.ts';

/** SCD type 2: the versions of each key that the events of a batch touch are worked out anew. */
export function historyBatch({job}: BatchContext): Promise<TableChange> {
  throw new IngestError('UNSUPPORTED', `Table ${job.tableRoot}: SCD type 2 is not available yet.`);
}
