import type {FlowProgress, RunUpdate} from '../runtime/api.ts';
import {countText, durationText, rateText} from './plain-words.ts';
import {visible, type Paint} from './terminal-text.ts';

/** Shows a run while it goes on. */
export interface RunView {
  update(update: RunUpdate): void;
  /** A line that stays. */
  say(line: string): void;
  /** Leaves the terminal as it should be. Calling twice is allowed. */
  close(): void;
}

/** How much is shown. */
export type Loudness = 'quiet' | 'normal' | 'verbose';

/** True for a flow that will not change any more. */
export function isOver(flow: FlowProgress): boolean {
  return (
    flow.state === 'COMPLETED' ||
    flow.state === 'FAILED' ||
    flow.state === 'STOPPED' ||
    flow.state === 'SKIPPED' ||
    flow.state === 'EXCLUDED'
  );
}

/** One line about a flow that is over. */
export function outcomeLine(flow: FlowProgress, paint: Paint): string {
  const name = visible(flow.flow);
  if (flow.state === 'FAILED')
    return `${paint.red('FAILED')}     ${name}: [${flow.errorCode ?? 'INTERNAL'}] ${visible(flow.errorMessage ?? 'no reason was given')}`;
  const state = flow.state === 'COMPLETED' ? paint.green('COMPLETED') : paint.yellow(flow.state);
  return `${state}  ${name}: ${changesText(flow)}, ${durationText(flow.elapsedMs)}`;
}

/** What changed in a table, in words. */
function changesText(flow: FlowProgress): string {
  const parts: string[] = [];
  if (flow.rowsInserted > 0) parts.push(`${countText(flow.rowsInserted)} inserted`);
  if (flow.rowsUpdated > 0) parts.push(`${countText(flow.rowsUpdated)} updated`);
  if (flow.rowsDeleted > 0) parts.push(`${countText(flow.rowsDeleted)} deleted`);
  if (flow.rescuedValues > 0) parts.push(`${countText(flow.rescuedValues)} values rescued`);
  if (flow.quarantinedRows > 0) parts.push(`${countText(flow.quarantinedRows)} rows quarantined`);
  if (parts.length === 0) parts.push('nothing changed');
  return `${countText(flow.rowsRead)} read, ${parts.join(', ')}`;
}

/** How fast a flow reads and how long it may take, in words; empty parts are left out. */
export function paceParts(flow: FlowProgress, rowsPerSecond: number | null): readonly string[] {
  const parts: string[] = [];
  if (rowsPerSecond !== null) parts.push(rateText(rowsPerSecond));
  const {totalRows, rowsRead} = flow;
  if (totalRows !== null && totalRows > 0) {
    parts.push(`${Math.min(100, Math.floor((rowsRead / totalRows) * 100))} %`);
    const remaining = totalRows - rowsRead;
    if (rowsPerSecond !== null && rowsPerSecond > 0 && remaining > 0)
      parts.push(`${durationText((remaining / rowsPerSecond) * 1000)} left`);
  }
  const {lagMs} = flow;
  if (lagMs !== undefined && lagMs >= 1000) parts.push(`${durationText(lagMs)} behind`);
  return parts;
}

/** Rows per second over the last seconds. */
export class Pace {
  private samples: {readonly atMs: number; readonly rows: number}[] = [];

  add(atMs: number, rows: number): void {
    this.samples.push({atMs, rows});
    while (this.samples.length > 2 && atMs - (this.samples[1]?.atMs ?? atMs) >= WINDOW_MS) this.samples.shift();
  }

  /** Null until there is something to measure. */
  rowsPerSecond(): number | null {
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < LEAST_MS) return null;
    return Math.max(0, ((last.rows - first.rows) * 1000) / (last.atMs - first.atMs));
  }
}

const WINDOW_MS = 10_000;
const LEAST_MS = 250;

/** The line of a note, or null when it is not loud enough. */
export function noteLine(update: Extract<RunUpdate, {kind: 'note'}>, paint: Paint, loudness: Loudness): string | null {
  if (update.level === 'INFO' && loudness !== 'verbose') return null;
  const about = update.flow === null ? '' : `${visible(update.flow)}: `;
  const text = `${about}[${update.code}] ${visible(update.message)}`;
  if (update.level === 'INFO') return `${paint.dim('note:')} ${text}`;
  return update.level === 'WARN' ? `${paint.yellow('warning:')} ${text}` : `${paint.red('error:')} ${text}`;
}
