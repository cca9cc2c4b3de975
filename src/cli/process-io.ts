import {processEnvironment} from '../runtime/config/environment.ts';
import type {CliIo, TextOutput} from './io.ts';

/** The process itself. */
export function processIo(): CliIo {
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    env: processEnvironment(),
    cwd: process.cwd(),
    onInterrupt,
    exit: (status) => process.exit(status),
  };
}

function outputOf(stream: NodeJS.WriteStream): TextOutput {
  // Whoever reads us may have gone (`sluice query … | head`): that is no failure of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY === true,
    size: () => ({columns: stream.columns ?? 80, rows: stream.rows ?? 24}),
  };
}

function onInterrupt(listener: (exitStatus: number) => void): () => void {
  const onInt = (): void => listener(130);
  const onTerm = (): void => listener(143);
  process.on('SIGINT', onInt);
  process.on('SIGTERM', onTerm);
  return () => {
    process.off('SIGINT', onInt);
    process.off('SIGTERM', onTerm);
  };
}
