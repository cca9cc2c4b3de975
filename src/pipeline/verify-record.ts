import {failpoint} from '../core/failpoint.ts';
import type {PlainJson} from '../core/offset.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {openHints} from '../state/hints.ts';
import {encodeName} from './table-root.ts';
import type {TableVerdict, Verdict} from './verify-verdict.ts';

/** The last comparison of a table, as it is remembered between processes. Without keys and values. */
export interface VerifyRecord {
  readonly verdict: Verdict;
  /** Version of the table that was compared. */
  readonly version: number;
  readonly atMs: number;
  readonly level: string;
  readonly reason: string | null;
  /** Comparisons in a row that could not prove everything because rows moved. */
  readonly rounds: number;
}

/** Where the verdicts of a pipeline are remembered: nowhere else, so that nothing can disagree with it. */
export interface VerifyRecords {
  /** The last comparison of a flow; null when there was none, or what was written of it cannot be read. */
  last(flow: string): Promise<VerifyRecord | null>;
  remember(flow: string, verdict: TableVerdict, atMs: number): Promise<void>;
}

/** Opens what a lake remembers of a pipeline's comparisons. */
export function verifyRecords(store: DeltaContext['store'], pipelineKey: string): VerifyRecords {
  const hints = openHints(store, `_sluice/pipelines/${encodeName(pipelineKey)}/verdicts`);
  const last = async (flow: string): Promise<VerifyRecord | null> => toRecord(await hints.get(flow));
  return {
    last,
    async remember(flow, verdict, atMs): Promise<void> {
      if (verdict.destinationVersion === null) return;
      const rounds = verdict.verdict === 'unproven' ? ((await last(flow))?.rounds ?? 0) + 1 : 0;
      await hints.put(flow, {
        verdict: verdict.verdict,
        version: verdict.destinationVersion,
        at: atMs,
        level: verdict.level,
        reason: verdict.reason,
        rounds,
      });
      failpoint('verify.remembered');
    },
  };
}

const VERDICTS: readonly string[] = ['equal', 'different', 'unproven', 'not_comparable'] satisfies readonly Verdict[];

function toRecord(facts: Readonly<Record<string, PlainJson>>): VerifyRecord | null {
  const {verdict, version, at, level, reason, rounds} = facts;
  if (typeof verdict !== 'string' || !VERDICTS.includes(verdict)) return null;
  if (typeof version !== 'number' || typeof at !== 'number') return null;
  return {
    verdict: verdict as Verdict,
    version,
    atMs: at,
    level: typeof level === 'string' ? level : 'source_sums',
    reason: typeof reason === 'string' ? reason : null,
    rounds: typeof rounds === 'number' ? rounds : 0,
  };
}
