import type {RunUpdate} from '../runtime/api.ts';
import type {TextOutput} from './io.ts';
import {countText} from './plain-words.ts';
import {isOver, noteLine, outcomeLine, Pace, paceParts, type Loudness, type RunView} from './run-view.ts';
import {visible, type Paint} from './terminal-text.ts';

/** A flow that goes on says so this often. */
const EVERY_MS = 30_000;

/** One line for what happens: for pipes, files and logs. */
export function createPlainView(
  output: TextOutput,
  options: {readonly paint: Paint; readonly loudness: Loudness; readonly nowMs: () => number},
): RunView {
  const {paint, loudness, nowMs} = options;
  const states = new Map<string, string>();
  const spokenAt = new Map<string, number>();
  const paces = new Map<string, Pace>();
  const say = (line: string): void => output.write(`${line}\n`);

  const flow = (update: Extract<RunUpdate, {kind: 'flow'}>): void => {
    const {progress} = update;
    const key = `${update.pipeline}/${progress.flow}`;
    const isNew = states.get(key) !== progress.state;
    states.set(key, progress.state);
    const pace = paces.get(key) ?? new Pace();
    paces.set(key, pace);
    pace.add(nowMs(), progress.rowsRead);
    if (isOver(progress)) {
      if (isNew) say(outcomeLine(progress, paint));
      return;
    }
    const since = spokenAt.get(key);
    if (since === undefined) spokenAt.set(key, nowMs());
    const isDue = since !== undefined && nowMs() - since >= EVERY_MS;
    if (!isDue && !(isNew && loudness === 'verbose')) return;
    spokenAt.set(key, nowMs());
    say(
      [
        `${progress.state}  ${visible(progress.flow)}: ${countText(progress.rowsRead)} read`,
        ...paceParts(progress, pace.rowsPerSecond()),
      ].join(', '),
    );
  };

  return {
    update(update) {
      if (update.kind === 'flow') flow(update);
      else if (update.kind === 'note') {
        const line = noteLine(update, paint, loudness);
        if (line !== null) say(line);
      } else if (loudness === 'verbose') say(`${visible(update.pipeline)}: ${update.state}`);
    },
    say,
    close: () => undefined,
  };
}
