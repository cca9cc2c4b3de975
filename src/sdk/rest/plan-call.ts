import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {Offset, PlainJson} from '../../core/offset.ts';
import type {Change, Page, ReadContext} from '../contract.ts';
import type {CursorValue} from '../cursor.ts';
import {cursorMicros} from '../cursor.ts';
import {openFormat, type OpenFormat} from './cursor-format.ts';
import type {ListEnv} from './fetch-page.ts';
import type {CursorSettings, RestReadCall} from './read-plan.ts';
import type {RequestScope} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';
import type {SourceTime} from './source-time.ts';

/** What a plan is read with: one table, or one partition of it. */
export interface PlanCall {
  readonly table: RestTable;
  readonly env: ListEnv;
  /** What the answers to requests of `env` say. */
  readonly sourceTime: SourceTime;
  readonly ctx: ReadContext;
  /** Without cursor, window and token: the plan sets them. */
  readonly scope: RequestScope;
  readonly call: RestReadCall;
  /** No row may come twice: rows of an append table are appended as they come. */
  readonly isAppend: boolean;
  /** Before every key of the ledger. */
  readonly ledgerPrefix: string;
}

/** What a plan yields: records as the source gave them, or changes. */
export interface PlanPage {
  readonly records: readonly JsonObject[];
  /** The scope that they were listed with. */
  readonly scope: RequestScope;
  /** Of the plan's records: what becomes of them. Absent: all are upserts. */
  readonly changes?: readonly Change[];
  /** Of records in a table with changes: their sequence, where they have one. */
  readonly sequence?: PlainJson | bigint;
  /** A page of columns or files of a custom plan: passed on as it is. */
  readonly whole?: Page;
  /** Complete up to here. */
  readonly offset?: Offset;
}

/** The pages of a plan; returns its offset. */
export type PlanPages = AsyncGenerator<PlanPage, Offset | null>;

/** The first lower bound of an incremental read: the table option, or what the plan says; null: from the beginning. */
export async function firstBound(
  settings: CursorSettings,
  format: OpenFormat,
  call: PlanCall,
): Promise<CursorValue | null> {
  const option = call.scope.option['start_timestamp'];
  if (typeof option === 'string' && format.isTime) return format.print(startMicros(option));
  const {start} = settings;
  return typeof start === 'function' ? start(call.call) : (start ?? null);
}

/** @throws INVALID_OPTION when the option is no timestamp. */
function startMicros(text: string): bigint {
  try {
    return cursorMicros(text);
  } catch (cause) {
    throw new IngestError('INVALID_OPTION', 'The table option "start_timestamp" is no timestamp.', {
      fix: 'Write it like 2026-01-31T12:00:00Z.',
      context: {option: 'start_timestamp'},
      cause,
    });
  }
}

/** Seconds that are read again in the first call of a trigger. */
export function lookbackSeconds(
  settings: CursorSettings,
  {scope}: {readonly scope: Pick<RequestScope, 'option'>},
): number {
  const option = scope.option['lookback_seconds'];
  return typeof option === 'number' ? option : (settings.lookbackSeconds ?? 0);
}

/** The newest instant that an offset may name, microseconds: rows after it may still be joined by others. To be asked when the first answer is there. */
export function upperBound(
  settings: Pick<CursorSettings, 'lagSeconds'>,
  {ctx, sourceTime}: Pick<PlanCall, 'ctx' | 'sourceTime'>,
): bigint {
  return sourceTime.startOf(ctx.triggerStartedAt) - lagMicros(settings);
}

/** The lag of a plan, microseconds. */
export function lagMicros({lagSeconds = 0}: Pick<CursorSettings, 'lagSeconds'>): bigint {
  return BigInt(Math.round(lagSeconds * 1_000_000));
}

/** The format of a plan's cursor. */
export function formatOf(settings: Pick<CursorSettings, 'format'>): OpenFormat {
  return openFormat(settings.format);
}

/** Path of the cursor in a record as the source gives it. @throws INVALID_SPEC */
export function cursorPath(settings: Pick<CursorSettings, 'field'>, table: RestTable): string {
  const path = settings.field ?? table.cursorField;
  if (path !== undefined) return path;
  throw new IngestError('INVALID_SPEC', `Table "${table.name}" is read by a cursor and names none.`, {
    fix: 'Set cursorField of the table, or field of its plan.',
    context: {table: table.name},
  });
}
