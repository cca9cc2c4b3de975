import {IngestError} from '../core/errors.ts';
import {openTable} from '../delta/table.ts';
import {extractPartitions} from '../pipeline/extract-partitions.ts';
import type {Partition} from '../sdk/contract.ts';
import {openConnector, type ConnectorServices, type OpenedConnector} from './open-connector.ts';
import {
  fromPlainError,
  toPlainError,
  type ExtractReply,
  type ExtractRequest,
  type ExtractStart,
} from './process-messages.ts';
import {readContextOf, silentLog} from './read-context.ts';
import {createSourceFiles} from './source-files.ts';
import {openTrace} from './trace-file.ts';
import {openWorkbench} from './workbench.ts';

/** Entry of an extract process: reads the partitions that it is handed, one after the other, into data files. */
async function extract(start: ExtractStart): Promise<void> {
  const {job} = start;
  await using bench = await openWorkbench(start, start.inputs);
  using trace = start.traceFile === undefined ? null : openTrace(start.traceFile);
  await using open = await openSource(start, {
    clock: bench.context.clock,
    ...(trace === null ? {} : {trace: trace.trace}),
  });
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
      const abort = (): void => reject(stop.signal.reason as Error);
      stop.signal.addEventListener('abort', abort, {once: true});
      waiting.push((partition) => {
        stop.signal.removeEventListener('abort', abort);
        resolve(partition);
      });
      void reply({kind: 'next'});
    });
  for await (const done of extractPartitions(
    {context: bench.context, connector: open.connector, flow: job.flow, table, schema: job.schema, read},
    next,
  )) {
    await reply({kind: 'done', done});
  }
}

/** The connector at the source, or what a gateway staged of it. */
async function openSource(start: ExtractStart, services: ConnectorServices): Promise<OpenedConnector> {
  const {gatewayId, job} = start;
  if (gatewayId === undefined) return openConnector(job.connection, services);
  const {openStagedParts} = await import('./gateway/staged-parts.ts');
  return openStagedParts(job.connection, start, gatewayId);
}

const stop = new AbortController();
const waiting: ((partition: Partition | null) => void)[] = [];

function reply(message: ExtractReply): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

async function main(start: ExtractStart): Promise<void> {
  try {
    await extract(start);
    await reply({kind: 'end'});
  } catch (error) {
    await reply({kind: 'failed', error: toPlainError(error)});
  }
  if (process.connected) process.disconnect();
}

// The terminal sends Ctrl-C to the whole group: the parent decides and tells us.
process.on('SIGINT', () => undefined);
process.on('message', (request: ExtractRequest) => {
  if (request.kind === 'start') void main(request.start);
  else if (request.kind === 'partition') waiting.shift()?.(request.partition);
  else stop.abort(fromPlainError(request.reason));
});
// Without a parent nobody commits what is read here.
process.on('disconnect', () => stop.abort(new Error('The parent process is gone.')));
