import type {ResolvedFlow} from './resolved-flow.ts';
import type {DifferenceKind, Differences} from './verify-differences.ts';
import type {HistoryCheck} from './verify-history.ts';

/** What the comparison says of a table. */
export type Verdict = 'equal' | 'different' | 'unproven' | 'not_comparable';

/**
 * How strong the evidence is. `source_sums`: hashes of all rows, computed by the source's own means; `reread`: all rows
 * read once more through the connector, so that a fault of its decoder shows on neither side; `none`: nothing was compared.
 */
export type VerifyLevel = 'source_sums' | 'reread' | 'none';

/** Why rows that only the destination has are no damage. */
export type ExtraReason = 'kept_by_append' | 'deletes_not_seen' | 'maybe_deleted_since';

/** Values of one column that its type cannot hold. */
export interface RescuedColumn {
  readonly name: string;
  /** Null: the source cannot tell. */
  readonly source: number | null;
  /** Entries in `_rescued_data`. */
  readonly destination: number;
}

/** What a comparison found. Keys are canonical texts: they may be personal data, and belong into reports, not into logs. */
export interface TableVerdict {
  readonly verdict: Verdict;
  readonly mode: 'full' | 'reread';
  readonly level: VerifyLevel;
  /** Odds that rows which differ have equal sums all the same; null when nothing was compared. */
  readonly collisionBound: number | null;
  /** Why the verdict is not `equal`, or what restricts it. */
  readonly reason: string | null;
  readonly sourcePoint: string | null;
  readonly destinationVersion: number | null;
  readonly sourceRows: number | null;
  /** Live rows; of a table with history the current ones. */
  readonly destinationRows: number | null;
  readonly bucketsTotal: number;
  readonly bucketsDifferent: number;
  readonly missing: number;
  readonly extra: number;
  /** Null: extra rows are a difference. */
  readonly extraReason: ExtraReason | null;
  readonly changed: number;
  /** Differing keys that may have changed in the source since the flow read it: about them nothing is said. */
  readonly unproven: number;
  /** At most 100 keys of each kind with the columns that differ; not for logs. */
  readonly samples: readonly {
    readonly key: string;
    readonly kind: DifferenceKind;
    readonly columns: readonly string[];
  }[];
  /** Columns by the number of changed keys in which they differ, among the first thousand of those. */
  readonly columnsDifferent: readonly {readonly name: string; readonly keys: number}[];
  readonly columnsCompared: number;
  readonly excluded: readonly {readonly name: string; readonly reason: string}[];
  /** Columns with values that did not fit: apart, because they land as NULL. */
  readonly rescued: readonly RescuedColumn[];
  /** Of tables with history; null otherwise. */
  readonly history: HistoryCheck | null;
  readonly elapsedMs: number;
}

/** A verdict of a comparison that did not happen. */
export const NOT_COMPARED: Omit<TableVerdict, 'verdict' | 'reason'> = {
  mode: 'full',
  level: 'none',
  collisionBound: null,
  sourcePoint: null,
  destinationVersion: null,
  sourceRows: null,
  destinationRows: null,
  bucketsTotal: 0,
  bucketsDifferent: 0,
  missing: 0,
  extra: 0,
  extraReason: null,
  changed: 0,
  unproven: 0,
  samples: [],
  columnsDifferent: [],
  columnsCompared: 0,
  excluded: [],
  rescued: [],
  history: null,
  elapsedMs: 0,
};

/** What was seen beside the differences. */
export interface Observations {
  readonly differences: Differences;
  readonly rescued: readonly RescuedColumn[];
  readonly history: HistoryCheck | null;
  /** The source could not hash some of its rows. */
  readonly unhashed: boolean;
  /** Buckets that differ and were not looked into; null: none. */
  readonly partly: string | null;
  /** The point shows the rows as the flow read them, not as they are now. */
  readonly exact: boolean;
}

/** What of a flow tells which differences follow from what it was asked to do. */
export type JudgedFlow = Pick<ResolvedFlow, 'target' | 'ingestionType' | 'changes' | 'configuration'>;

/** What the counts mean for a flow: some differences follow from what the flow was asked to do. */
export function judge(
  flow: JudgedFlow,
  seen: Observations,
  automatic: boolean,
): Pick<TableVerdict, 'verdict' | 'reason' | 'extraReason'> {
  const {differences, history, unhashed, partly} = seen;
  const {missing, extra, changed, unproven} = differences;
  const extraReason = extra === 0 ? null : extraReasonOf(flow, automatic && !seen.exact);
  const damaged = missing + changed + (extraReason === null ? extra : 0);
  const misfits = seen.rescued.filter((column) => isLost(column, flow.target === 'append'));
  const brokenHistory = history === null ? 0 : history.overlaps + history.openTwice + history.backwards;
  const reasons = [
    damaged > 0 ? `${missing} missing, ${extra} extra, ${changed} changed` : null,
    misfits.length > 0 ? `values that do not fit their type were not all rescued: ${misfitText(misfits)}` : null,
    brokenHistory > 0 && history !== null ? historyText(history) : null,
    unhashed ? 'the source could not hash all its rows' : null,
    extraReason === null ? null : extraText(extraReason, extra),
    unproven > 0
      ? `${unproven} keys changed in the source after it was read, or may have: run the pipeline and verify again`
      : null,
    partly,
  ].filter((reason) => reason !== null);
  const reason = reasons.length === 0 ? null : reasons.join('; ');
  // Rows that changed meanwhile may be why the rescued values do not add up.
  const isDifferent =
    damaged > 0 ||
    brokenHistory > 0 ||
    partly !== null ||
    (misfits.length > 0 && unproven === 0 && extraReason === null);
  const verdict = isDifferent ? 'different' : reason === null ? 'equal' : 'unproven';
  return {verdict, reason, extraReason};
}

/** What an append-only table rescued of older versions of a row is there beside what the source has now. */
function isLost({source, destination}: RescuedColumn, keepsVersions: boolean): boolean {
  if (source === null || source === 0) return false;
  return keepsVersions ? destination < source : destination !== source;
}

function extraReasonOf(flow: JudgedFlow, isNow: boolean): ExtraReason | null {
  if (flow.target === 'append' && flow.ingestionType !== 'snapshot') return 'kept_by_append';
  const seesDeletes =
    flow.ingestionType !== 'cdc' ||
    flow.changes !== null ||
    flow.configuration.hardDeletionSyncMinIntervalSeconds !== null;
  if (!seesDeletes) return 'deletes_not_seen';
  return isNow ? 'maybe_deleted_since' : null;
}

function extraText(reason: ExtraReason, extra: number): string {
  switch (reason) {
    case 'kept_by_append':
      return `${extra} rows are no longer in the source as they landed: an append-only table keeps them`;
    case 'deletes_not_seen':
      return `${extra} rows are no longer in the source: this flow does not look for deletes (hard_deletion_sync_min_interval_in_seconds)`;
    case 'maybe_deleted_since':
      return `${extra} rows are not in the source now, and may have been deleted since it was read: run the pipeline and verify again`;
  }
}

function misfitText(misfits: readonly RescuedColumn[]): string {
  return misfits
    .map(({name, source, destination}) => `${name} (${source} in the source, ${destination} rescued)`)
    .join(', ');
}

function historyText({overlaps, openTwice, backwards}: HistoryCheck): string {
  return `the history is broken: ${overlaps} versions overlap, ${openTwice} keys are open twice, ${backwards} versions end before they begin`;
}
