import {IngestError} from '../core/errors.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import type {Connector, ReadContext} from '../sdk/contract.ts';
import {extractPartitions} from './extract-partitions.ts';
import type {ExtractDone, ExtractJob, ExtractRunner} from './extract-runner.ts';

/** Reads partitions in this thread: one after the other, or as many at once as the job says. */
export function createInlineExtract(scope: {
  readonly context: DeltaContext;
  readonly connector: Connector;
  readonly read: (job: ExtractJob, signal: AbortSignal) => ReadContext;
}): ExtractRunner {
  return {kind: 'inline', run: (job, signal) => runInline(scope, job, signal)};
}

async function* runInline(
  scope: Parameters<typeof createInlineExtract>[0],
  job: ExtractJob,
  signal: AbortSignal,
): AsyncGenerator<ExtractDone, void> {
  const {context, connector} = scope;
  const table = await openTable(context, job.flow.root);
  if (table === null) throw new IngestError('NOT_A_DELTA_TABLE', `Table ${job.flow.name} is gone.`);
  let at = 0;
  const next = (): Promise<(typeof job.partitions)[number] | null> => Promise.resolve(job.partitions[at++] ?? null);
  yield* extractPartitions(
    {
      context,
      connector,
      flow: job.flow,
      table,
      schema: job.schema,
      read: scope.read(job, signal),
      parallel: job.parallelHere ?? 1,
    },
    next,
  );
}
