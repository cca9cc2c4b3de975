import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {StructType} from '../core/types.ts';
import type {AddFile} from '../delta/actions.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import type {Connector, Page, Partition, ReadContext} from '../sdk/contract.ts';
import type {ExtractDone} from './extract-runner.ts';
import {besideRows} from './landing-changes.ts';
import {Landing, partitionShape} from './landing.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import {stageRows, writeRows} from './stage-rows.ts';

/** What reading partitions needs, in whatever thread or process it happens. */
export interface ExtractScope {
  readonly context: DeltaContext;
  readonly connector: Connector;
  readonly flow: ResolvedFlow;
  readonly table: DeltaTable;
  readonly schema: StructType;
  readonly read: ReadContext;
  /** Partitions that are read at once. Default 1. */
  readonly parallel?: number;
}

/** A data file is closed when it holds this many rows or bytes in memory: large enough for readers, small enough for two at a time. */
const FILE_ROWS = 491_520;
const FILE_BYTES = 24 * 1024 * 1024;

/**
 * Reads partitions into data files, in no order where several are read at once; while one file is written the next rows are read already.
 * @param next gives the next partition, or null when there are no more.
 */
export async function* extractPartitions(
  scope: ExtractScope,
  next: () => Promise<Partition | null>,
): AsyncGenerator<ExtractDone, void> {
  const {flow, read, context} = scope;
  let landing = new Landing(context.engine, partitionShape(flow));
  let writing: Promise<ExtractDone> | null = null;
  try {
    for await (const page of pagesOf(scope, next)) {
      failpoint('read.page');
      read.signal.throwIfAborted();
      checkPage(page, flow);
      await landing.add(page);
      if (landing.counts.rows < FILE_ROWS && landing.counts.bytes < FILE_BYTES) continue;
      if (writing !== null) yield await writing;
      writing = writeLanding(scope, landing);
      // A failure is thrown where the promise is awaited; until then it must not count as unhandled.
      writing.catch(() => undefined);
      landing = new Landing(context.engine, partitionShape(flow));
    }
    if (writing !== null) yield await writing;
    writing = null;
    yield await writeLanding(scope, landing);
  } finally {
    await writing?.catch(() => undefined);
    await landing[Symbol.asyncDispose]();
  }
}

/** The pages of all partitions, of up to `scope.parallel` of them at once; each waits for its pages to be taken. */
async function* pagesOf(scope: ExtractScope, next: () => Promise<Partition | null>): AsyncGenerator<Page, void> {
  const {connector, flow, read, parallel = 1} = scope;
  const open = new Set<AsyncGenerator<Page, void>>();
  const steps = new Map<AsyncGenerator<Page, void>, Promise<Step>>();
  let isMore = true;
  try {
    // Ends: each turn takes a page, or ends a partition, of which there are finitely many.
    for (;;) {
      while (isMore && open.size < parallel) {
        const partition = await next();
        const pages =
          partition === null ? undefined : connector.readPartition?.(flow.sourceTable, partition, flow.options, read);
        if (pages === undefined) isMore = false;
        else {
          open.add(pages);
          steps.set(pages, stepOf(pages));
        }
      }
      if (steps.size === 0) return;
      const {pages, result} = await Promise.race(steps.values());
      if (result.done === true) {
        open.delete(pages);
        steps.delete(pages);
      } else {
        steps.delete(pages);
        yield result.value;
        // Only now: a connector may use the memory of a page again. At the end, so that every partition gets its turn.
        steps.set(pages, stepOf(pages));
      }
    }
  } finally {
    for (const step of steps.values()) step.catch(() => undefined);
    await Promise.allSettled([...open].map((pages) => pages.return()));
  }
}

interface Step {
  readonly pages: AsyncGenerator<Page, void>;
  readonly result: IteratorResult<Page, void>;
}

async function stepOf(pages: AsyncGenerator<Page, void>): Promise<Step> {
  return {pages, result: await pages.next()};
}

/** Rows of partitions become data files at once: what takes rows away must come by `readTable`. */
function checkPage(page: Page, flow: ResolvedFlow): void {
  if (!('kind' in page) || page.kind !== 'changes') return;
  throw new IngestError('CONTRACT_VIOLATION', `A partition of table "${flow.sourceTable}" gave changes.`, {
    fix: 'Yield changes from readTable; partitions are rows.',
    context: {table: flow.sourceTable},
  });
}

async function writeLanding(scope: ExtractScope, landing: Landing): Promise<ExtractDone> {
  await using owned = landing;
  const landed = await owned.finish();
  const job = {table: scope.table, flow: scope.flow, schema: scope.schema, signal: scope.read.signal};
  const files: AddFile[] = [];
  if (landed.table !== null) files.push(...(await writeRows(job, besideRows(scope.flow, landed.table))));
  for (const select of landed.files) files.push(...(await stageRows(job, owned, besideRows(scope.flow, select))));
  failpoint('extract.partition-written');
  const {rows, bytes, rescuedValues, quarantined} = owned.counts;
  return {files, rows, bytes, rescuedValues, quarantined};
}
