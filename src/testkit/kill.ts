import {spawn} from 'node:child_process';

/** A program of Node.js to start, and how it may die. */
export interface KillRun {
  /** Arguments of `node`: flags, script, arguments of the script. */
  readonly args: readonly string[];
  /** The whole environment, for example with `SLUICE_FAILPOINT=delta.commit-linked:2`; default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** SIGKILL for the program and all that it started, so many milliseconds after its start. */
  readonly killAfterMs?: number;
  /** SIGTERM for the program alone, as a service manager would stop it. */
  readonly stop?: AbortSignal;
  /** A program that runs longer hangs: it is killed and the call rejects. Default 120 seconds. */
  readonly timeoutMs?: number;
}

/** How a program ended. */
export interface KillEnd {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  /** Ended by SIGKILL, ours or that of its own failpoint. */
  readonly killed: boolean;
  readonly milliseconds: number;
  /** The last of what it wrote, both streams. */
  readonly output: string;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const KEPT_OUTPUT = 20_000;

/** Runs a program in a process group of its own until it ends or is killed. @throws Error when it cannot start or hangs. */
export function runAndKill(run: KillRun): Promise<KillEnd> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const options = {detached: true, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe']};
    const child = spawn(process.execPath, run.args, run.env === undefined ? options : {...options, env: run.env});
    let output = '';
    let hangs = false;
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    // A negative id means the group: what the program has started dies with it.
    const kill = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    const killer = run.killAfterMs === undefined ? undefined : setTimeout(kill, run.killAfterMs);
    const watchdog = setTimeout(() => {
      hangs = true;
      kill();
    }, run.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const stop = (): void => void child.kill('SIGTERM');
    run.stop?.addEventListener('abort', stop, {once: true});
    child.on('error', reject);
    child.on('close', (code, signal) => {
      run.stop?.removeEventListener('abort', stop);
      clearTimeout(killer);
      clearTimeout(watchdog);
      if (hangs) reject(new Error(`The program hung:\n${output.slice(-4000)}`));
      else resolve({code, killed: signal === 'SIGKILL', milliseconds: performance.now() - startedAt, output});
    });
  });
}
