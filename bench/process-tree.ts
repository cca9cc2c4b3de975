import {readdirSync, readFileSync} from 'node:fs';

/** Watches the memory of a process and its descendants (Linux). */
export interface TreeWatch {
  /** Stops and returns the largest sum seen, in bytes: proportional set size, so that shared pages count once. */
  stop(): number;
  /** The median of each quarter of the time until now: what grows shows there, what comes and goes does not. */
  quarters(): readonly [number, number, number, number];
}

/** Samples every `everyMs` (default 50) milliseconds. */
export function watchTree(pid: number, everyMs = 50): TreeWatch {
  const samples: number[] = [];
  const sample = (): void => void samples.push(treeBytes(pid));
  const timer = setInterval(sample, everyMs);
  sample();
  return {
    stop(): number {
      clearInterval(timer);
      return samples.reduce((peak, bytes) => Math.max(peak, bytes), 0);
    },
    quarters(): readonly [number, number, number, number] {
      const of = (at: number): number =>
        median(samples.slice(Math.floor((samples.length * at) / 4), Math.floor((samples.length * (at + 1)) / 4)));
      return [of(0), of(1), of(2), of(3)];
    },
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

/** Bytes of a process and its descendants now, as {@link watchTree} counts them. */
export function treeBytes(root: number): number {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(Number(entry));
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  let bytes = 0;
  const queue = [root];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    bytes += bytesOf(pid);
    queue.push(...(children.get(pid) ?? []));
  }
  return bytes;
}

function parentOf(pid: number): number | null {
  const text = read(`/proc/${pid}/stat`);
  return text === null ? null : Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
}

function bytesOf(pid: number): number {
  const line =
    read(`/proc/${pid}/smaps_rollup`)?.match(/^Pss:\s+(\d+) kB/m) ??
    read(`/proc/${pid}/status`)?.match(/^VmRSS:\s+(\d+) kB/m);
  return line?.[1] === undefined ? 0 : Number(line[1]) * 1024;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process ended between the listing and the look.
    return null;
  }
}
