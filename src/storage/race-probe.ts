import {randomUUID} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import type {Attempts, ObjectClient} from './object-client.ts';

/** Where to probe. */
export interface Probe {
  readonly client: ObjectClient;
  readonly root: string;
  readonly keyPrefix: string;
  readonly attempts: Attempts;
}

const WRITERS = 8;
/** A store that looks before it writes lets one of two win by luck in a round now and then, and seldom in all. */
const ROUNDS = 10;
/** Rounds whose answers were lost, or that nobody won, say nothing; so many are borne. */
const UNDECIDED = 5;

/**
 * Proves that of several writers who put one name at once exactly one wins, which is what keeps Delta tables whole. A
 * lake remembers that it passed, by the address it had then.
 * @throws STORE_UNSAFE when two writers won.
 */
export async function proveOneWinner(probe: Probe): Promise<void> {
  const {client, keyPrefix, attempts} = probe;
  const marker = `${keyPrefix}_sluice/store-probe.json`;
  const passed = await attempts((signal) => client.get(marker, null, signal));
  if (passed !== null && addressOf(passed) === client.identity) return;
  let undecidedRounds = 0;
  for (let decided = 0; decided < ROUNDS;) {
    const winners = await race(probe);
    if (winners > 1) throw unsafe(probe, winners);
    if (winners === 1) decided++;
    else if (++undecidedRounds > UNDECIDED) throw undecided(probe);
  }
  const fact = JSON.stringify({address: client.identity, writers: WRITERS, provedAt: new Date().toISOString()});
  await attempts((signal) => client.put(marker, new TextEncoder().encode(`${fact}\n`), signal));
}

/** The number of winners; 0 when the round says nothing. */
async function race({client, keyPrefix, attempts}: Probe): Promise<number> {
  const key = `${keyPrefix}_sluice/store-probe-${randomUUID()}`;
  const put = async (mark: string): Promise<boolean> => {
    // One attempt each: a retry could meet its own first attempt.
    return client.putIfAbsent(key, new TextEncoder().encode(mark), mark, AbortSignal.timeout(ANSWER_WITHIN_MS));
  };
  const marks = Array.from({length: WRITERS}, () => randomUUID());
  const ends = await Promise.allSettled(marks.map((mark) => put(mark)));
  try {
    const failures = ends.filter((end) => end.status === 'rejected').map((end) => end.reason as unknown);
    // Errors that another try does not mend: the caller hears of them as of those of any call.
    for (const failure of failures)
      if (!MAY_PASS.has(client.classify(failure).kind)) await attempts(() => Promise.reject(failure));
    let winners = ends.filter((end) => end.status === 'fulfilled' && end.value).length;
    // A store may be right in a race and wrong afterwards.
    if (winners === 1 && (await put(randomUUID()).catch(() => false))) winners++;
    return winners;
  } finally {
    await attempts((signal) => client.delete(key, signal));
  }
}

const ANSWER_WITHIN_MS = 60_000;

const MAY_PASS: ReadonlySet<string> = new Set(['transient', 'throttled', 'busy', 'unreachable']);

function addressOf(marker: Uint8Array): string | null {
  try {
    const {address} = JSON.parse(new TextDecoder().decode(marker)) as {readonly address?: unknown};
    return typeof address === 'string' ? address : null;
  } catch {
    // Somebody else's object: prove it again.
    return null;
  }
}

function unsafe({root}: Probe, winners: number): IngestError {
  return new IngestError(
    'STORE_UNSAFE',
    `${root}: of ${WRITERS} writers who created one object at once, ${winners} were told that they had won. Two writers could overwrite each other's commits.`,
    {
      fix: 'Use a store that honours conditional writes (S3: "If-None-Match: *" on PutObject), a newer version of this one, or a lake on a local disk.',
      context: {path: root, winners},
    },
  );
}

function undecided({root}: Probe): IngestError {
  return new IngestError('STORAGE_FAILED', `${root}: nobody won ${UNDECIDED + 1} of its trial races.`, {
    class: 'transient',
    fix: 'The store fails too often to be written to: run again when it is well.',
    context: {path: root},
  });
}
