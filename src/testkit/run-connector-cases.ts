import {IngestError, messageOf} from '../core/errors.ts';
import type {ConnectorCase, ConnectorSuite} from './connector-proof.ts';
import {ProofFailure} from './proof-failure.ts';

/** How one case ended. */
export interface CaseResult {
  readonly name: string;
  readonly suite: ConnectorSuite;
  readonly table: string | null;
  readonly state: 'passed' | 'failed' | 'excluded';
  /** Why it failed, or why it does not apply; null when it passed. */
  readonly reason: string | null;
  /** How the author may correct it; null where nothing is known. */
  readonly fix: string | null;
  readonly elapsedMs: number;
}

/** How all cases ended. */
export interface CaseResults {
  readonly passed: number;
  readonly failed: number;
  readonly excluded: number;
  /** In the order of the cases. */
  readonly results: readonly CaseResult[];
}

/**
 * Runs cases one after the other; a failing one stops nothing, unless `stopsAtFailure`: those after it are in no count then.
 * @throws the signal's reason when it aborts.
 */
export async function runConnectorCases(
  cases: readonly ConnectorCase[],
  options: {
    readonly onResult?: (result: CaseResult) => void;
    readonly signal?: AbortSignal;
    readonly stopsAtFailure?: boolean;
  } = {},
): Promise<CaseResults> {
  const results: CaseResult[] = [];
  for (const each of cases) {
    options.signal?.throwIfAborted();
    const result = await runCase(each);
    options.signal?.throwIfAborted();
    results.push(result);
    options.onResult?.(result);
    if (result.state === 'failed' && options.stopsAtFailure === true) break;
  }
  const count = (state: CaseResult['state']): number => results.filter((result) => result.state === state).length;
  return {passed: count('passed'), failed: count('failed'), excluded: count('excluded'), results};
}

type Ended = Pick<CaseResult, 'state' | 'reason' | 'fix'>;

async function runCase({name, suite, table, excluded, run}: ConnectorCase): Promise<CaseResult> {
  const common = {name, suite, table: table ?? null};
  if (excluded !== undefined) return {...common, state: 'excluded', reason: excluded, fix: null, elapsedMs: 0};
  const startedAt = performance.now();
  const ended: Ended = await run().then(
    (): Ended => ({state: 'passed', reason: null, fix: null}),
    (error: unknown): Ended => ({state: 'failed', ...reasonOf(error)}),
  );
  return {...common, ...ended, elapsedMs: performance.now() - startedAt};
}

function reasonOf(error: unknown): {readonly reason: string; readonly fix: string | null} {
  if (error instanceof ProofFailure) {
    const {expected, came, fix} = error.finding;
    return {reason: `expected ${expected}; came ${came}`, fix};
  }
  if (error instanceof IngestError)
    return {reason: `${error.code}: ${withoutCase(error.message)}`, fix: error.fix ?? null};
  return {reason: withoutCase(messageOf(error)), fix: null};
}

/** A message names its case in its last line, for test runners; a result has it anyway. */
function withoutCase(message: string): string {
  return message.replace(/\nCase: .*$/s, '');
}
