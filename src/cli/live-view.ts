import type {FlowProgress, RunUpdate} from '../runtime/api.ts';
import type {TextOutput} from './io.ts';
import {countText, durationText} from './plain-words.ts';
import {isOver, noteLine, outcomeLine, Pace, paceParts, type Loudness, type RunView} from './run-view.ts';
import {clip, pad, TERMINAL, visible, widthOf, type Paint} from './terminal-text.ts';

/** Frames are drawn no more often than this. */
const FRAME_MS = 80;
/** The clock at the top goes on when nothing else happens. */
const TICK_MS = 500;

interface LiveFlow {
  readonly progress: FlowProgress;
  readonly pace: Pace;
}

/** A block of lines at the bottom of the terminal that is drawn over; what is over scrolls away above it. */
export function createLiveView(
  output: TextOutput,
  options: {readonly paint: Paint; readonly loudness: Loudness; readonly nowMs: () => number},
): RunView {
  return new LiveView(output, options);
}

class LiveView implements RunView {
  private readonly output: TextOutput;
  private readonly paint: Paint;
  private readonly loudness: Loudness;
  private readonly nowMs: () => number;
  private readonly startedAtMs: number;
  private readonly timer: NodeJS.Timeout;
  private readonly flows = new Map<string, LiveFlow>();
  /** Lines that will scroll away with the next frame. */
  private lasting: string[] = [];
  private title = '';
  private over = 0;
  private total = 0;
  private drawnLines = 0;
  private drawnAtMs = Number.NEGATIVE_INFINITY;
  private closed = false;

  constructor(
    output: TextOutput,
    options: {readonly paint: Paint; readonly loudness: Loudness; readonly nowMs: () => number},
  ) {
    this.output = output;
    this.paint = options.paint;
    this.loudness = options.loudness;
    this.nowMs = options.nowMs;
    this.startedAtMs = options.nowMs();
    this.timer = setInterval(() => this.draw(), TICK_MS);
    this.timer.unref();
  }

  update(update: RunUpdate): void {
    if (update.kind === 'flow') this.updateFlow(update);
    else if (update.kind === 'update') this.title = `${visible(update.pipeline)} ${update.state}`;
    else {
      const line = noteLine(update, this.paint, this.loudness);
      if (line !== null) this.lasting.push(line);
    }
    if (this.nowMs() - this.drawnAtMs >= FRAME_MS) this.draw();
  }

  say(line: string): void {
    this.lasting.push(line);
    this.draw();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    this.write([]);
  }

  private updateFlow(update: Extract<RunUpdate, {kind: 'flow'}>): void {
    const {progress} = update;
    const key = `${update.pipeline}/${progress.flow}`;
    const known = this.flows.get(key);
    const pace = known?.pace ?? new Pace();
    pace.add(this.nowMs(), progress.rowsRead);
    if (known === undefined) this.total += 1;
    if (isOver(progress) && (known === undefined || !isOver(known.progress))) {
      this.over += 1;
      this.lasting.push(outcomeLine(progress, this.paint));
    }
    this.flows.set(key, {progress, pace});
  }

  private draw(): void {
    if (this.closed) return;
    const {columns, rows} = this.output.size();
    const width = columns - 1;
    const active = [...this.flows.values()].filter(
      (flow) => !isOver(flow.progress) && flow.progress.state !== 'QUEUED',
    );
    const room = Math.max(0, rows - 3);
    const shown = active.slice(0, room);
    const nameWidth = Math.min(
      Math.max(0, ...shown.map((flow) => widthOf(visible(flow.progress.flow)))),
      Math.floor(width / 2),
    );
    const lines = shown.map((flow) => clip(flowLine(flow, nameWidth), width));
    const head = `${this.title}  ${durationText(this.nowMs() - this.startedAtMs)}  ${this.over} of ${this.total} tables done`;
    const more = active.length > shown.length ? [clip(`  ${active.length - shown.length} more running`, width)] : [];
    this.write([this.paint.bold(clip(head, width)), ...lines, ...more.map((line) => this.paint.dim(line))]);
    this.drawnAtMs = this.nowMs();
  }

  /** Replaces the block in one synchronized update; terminals without that see the same text. */
  private write(block: readonly string[]): void {
    const above = this.lasting.map((line) => `${line}\n`).join('');
    const text = block.map((line) => `${line}\n`).join('');
    this.output.write(
      `${TERMINAL.beginUpdate}${TERMINAL.up(this.drawnLines)}${TERMINAL.clearDown}${above}${text}${TERMINAL.endUpdate}`,
    );
    this.lasting = [];
    this.drawnLines = block.length;
  }
}

function flowLine(flow: LiveFlow, nameWidth: number): string {
  const {progress, pace} = flow;
  const name = pad(clip(visible(progress.flow), nameWidth), nameWidth, 'left');
  const attempt = progress.attempt > 1 ? [`attempt ${progress.attempt}`] : [];
  return [
    '',
    name,
    progress.state.padEnd(8),
    `${countText(progress.rowsRead)} rows`,
    ...paceParts(progress, pace.rowsPerSecond()),
    ...attempt,
  ].join('  ');
}
