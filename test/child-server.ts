import {spawn, type ChildProcess} from 'node:child_process';
import {createServer} from 'node:net';

/** A program that serves until it is disposed. */
export interface ChildServer extends AsyncDisposable {
  readonly pid: number;
}

/** How to start a server. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Answers any request by HTTP once the server is up. */
  readonly url: string;
}

const UP_WITHIN_MS = 30_000;

/** Starts a server that dies with this process, even when this process is killed. */
export async function startServer({command, args, env, url}: ServerCommand): Promise<ChildServer> {
  const child = spawn(command, args, {env: {...process.env, ...env}, stdio: ['ignore', 'pipe', 'pipe']});
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4_000);
    });
  }
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const guard = guardOf(child);
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    guard.kill('SIGKILL');
  };
  const deadline = Date.now() + UP_WITHIN_MS;
  while (!(await answers(url))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await close();
      throw new Error(`${command} did not start: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {pid: child.pid ?? 0, [Symbol.asyncDispose]: close};
}

/** A free port of 127.0.0.1. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** A shell that waits for the end of its input, which comes when this process dies in whatever way, and then stops the server. */
function guardOf(server: ChildProcess): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', 'read -r _; kill -KILL "$1"', 'guard', String(server.pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => undefined); // Without a shell the server outlives a killed parent; nothing else is lost.
  guard.unref();
  (guard.stdin as unknown as {unref(): void}).unref();
  return guard;
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url, {signal: AbortSignal.timeout(2_000)});
    return true;
  } catch {
    // Not yet.
    return false;
  }
}
