import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {systemClock} from '../core/clock.ts';
import type {LogBatch, LogPoint, LogTable} from '../sdk/change-log.ts';
import {FrameWriter} from '../sdk/log-frames.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {Store} from '../storage/store.ts';
import type {Compression} from './block-file.ts';
import {openLogWriter, type LogWriter} from './log-writer.ts';
import {openManifest, type ManifestWriter} from './manifest-writer.ts';
import {markBehindSnapshot, openLogView, WHOLE_TRANSACTION, type LogMark} from './read-log.ts';
import {loadState, openStaging, type Staging} from './staging.ts';

/** Tables of the tests. */
export const ORDERS: LogTable = {
  id: 7,
  namespace: ['shop'],
  name: 'orders',
  columns: [{name: 'id', type: 'int', isKey: true, isNullable: false}],
  identity: 'key',
};
export const USERS: LogTable = {...ORDERS, id: 9, name: 'users'};

/** A staging in a folder that goes away. */
export interface TestStaging extends AsyncDisposable {
  readonly staging: Staging;
  readonly store: Store;
  readonly folder: string;
}

export async function makeStaging(wrap: (store: Store) => Store = (store) => store): Promise<TestStaging> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-staging-'));
  const store = wrap(createLocalStore(folder));
  return {
    staging: openStaging(store, 'gw'),
    store,
    folder,
    [Symbol.asyncDispose]: () => rm(folder, {recursive: true, force: true}),
  };
}

export function pointAt(position: number): LogPoint {
  return {position: BigInt(position), token: {at: position}};
}

/** Opens the manifest, begins the first epoch where there is none, and goes on with the log. */
export async function startWriter(
  staging: Staging,
  compression: Compression = 'none',
): Promise<{readonly manifest: ManifestWriter; readonly log: LogWriter}> {
  const manifest = await openManifest(staging, systemClock);
  if (manifest.state.epoch === 0) {
    await manifest.append({
      kind: 'epoch',
      epoch: 1,
      identity: {server: 'one', timeline: 0},
      codec: 'scripted/1',
      start: pointAt(0),
      message: '',
    });
  }
  return {manifest, log: openLogWriter(manifest, compression)};
}

/** A transaction that begins at `position` and ends ten later. */
export interface TestTransaction {
  readonly position: number;
  readonly changes: readonly (readonly [LogTable, string])[];
}

/** One batch with whole transactions. */
export function batchOf(...transactions: readonly TestTransaction[]): LogBatch {
  const writer = new FrameWriter(64);
  for (const transaction of transactions) writeTransaction(writer, transaction);
  return writer.take(pointAt((transactions.at(-1)?.position ?? 0) + 10));
}

export function writeTransaction(writer: FrameWriter, {position, changes}: TestTransaction): void {
  writer.begin(BigInt(position), BigInt(position) * 1000n, `t${position}`);
  for (const [table, text] of changes) writeChange(writer, table, text);
  writer.commit();
}

export function writeChange(writer: FrameWriter, table: LogTable, text: string): void {
  const bytes = Buffer.from(text);
  writer.change(table.id, bytes, 0, bytes.length);
}

/** Where a table without a snapshot is read from. */
export const FROM_START: LogMark = {entry: 1, epoch: 1, position: 0n, ordinal: 0};

/** Reads what is sealed of a table behind a mark: one text per change, `transaction.ordinal=payload`. */
export async function readTexts(
  staging: Staging,
  table: LogTable,
  after: LogMark = FROM_START,
): Promise<{readonly texts: readonly string[]; readonly mark: LogMark}> {
  const view = await openLogView(staging, {state: await loadState(staging), from: after.entry});
  const texts: string[] = [];
  const reading = view.readTable(table.id, after, new AbortController().signal);
  for (;;) {
    const {done, value} = await reading.next();
    if (done === true) return {texts, mark: value};
    for (const {transaction, bytes, frames} of value.runs) {
      for (const frame of frames) {
        if (frame.kind === 'change')
          texts.push(`${transaction}.${frame.ordinal}=${bytes.toString('utf8', frame.start, frame.end)}`);
        else texts.push(`${transaction}.${frame.ordinal}:${frame.kind}`);
      }
    }
  }
}

export {markBehindSnapshot, WHOLE_TRANSACTION};
