import {parentPort, workerData} from 'node:worker_threads';

import {IngestError} from '../core/errors.ts';
import {openTable} from '../delta/table.ts';
import {extractPartitions} from '../pipeline/extract-partitions.ts';
import type {Partition} from '../sdk/contract.ts';
import {openConnector} from './open-connector.ts';
import {createSourceFiles} from './source-files.ts';
import {fromPlainError, toPlainError, type WorkerReply, type WorkerRequest, type WorkerStart} from './worker-messages.ts';
import {openWorkbench} from './workbench.ts';
import {readContextOf, silentLog} from './read-context.ts';

/** Entry of an extract thread: reads the partitions that it is handed, one after the other, into data files. */
async function main(start: WorkerStart): Promise<void> {
  const stop = new AbortController();
  const waiting: ((partition: Partition | null) => void)[] = [];
  parentPort?.on('message', (request: WorkerRequest) => {
    if (request.kind === 'partition') waiting.shift()?.(request.partition);
    else stop.abort(fromPlainError(request.reason));
  });
  const {job} = start;
  await using bench = await openWorkbench(start, start.inputs);
  await using open = await openConnector(job.connection, {clock: bench.context.clock});
  const table = await openTable(bench.context, job.flow.root);
  if (table === null) throw new IngestError('NOT_A_DELTA_TABLE', `Table ${job.flow.name} is gone.`);
  const read = readContextOf({
    signal: stop.signal,
    clock: bench.context.clock,
    log: silentLog,
    files: createSourceFiles(bench.context.engine, start.inputs),
    triggerStartedAt: job.triggerStartedAt,
  });
  const next = (): Promise<Partition | null> =>
    new Promise((resolve, reject) => {
      stop.signal.throwIfAborted();
      waiting.push(resolve);
      stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error), {once: true});
      reply({kind: 'next'});
    });
  for await (const done of extractPartitions({context: bench.context, connector: open.connector, flow: job.flow, table, schema: job.schema, read}, next)) {
    reply({kind: 'done', done});
  }
}

function reply(message: WorkerReply): void {
  parentPort?.postMessage(message);
}

main(workerData as WorkerStart)
  .then(() => reply({kind: 'end'}))
  .catch((error: unknown) => reply({kind: 'failed', error: toPlainError(error)}))
  .finally(() => parentPort?.close());
