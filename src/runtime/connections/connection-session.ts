import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {systemClock} from '../../core/clock.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';
import type {CallContext} from '../../sdk/contract.ts';
import type {Environment} from '../config/environment.ts';
import {connectionFolders} from '../input-folders.ts';
import {lazyFiles} from '../lazy-files.ts';
import {openConnector, type OpenedConnector} from '../open-connector.ts';
import {silentLog} from '../read-context.ts';
import {openTrace} from '../trace-file.ts';

/** A connection opened to look at its source; there is no lake. Disposing closes it. */
export interface ConnectionSession extends AsyncDisposable {
  readonly connection: ConnectionSpec;
  readonly open: OpenedConnector;
  readonly ctx: CallContext;
}

/** How a look at a source goes. */
export interface LookOptions {
  readonly signal: AbortSignal;
  /** Every exchange is appended to this file, a line each. */
  readonly traceFile?: string | undefined;
  /** Default: the process's environment. */
  readonly env?: Environment | undefined;
}

/** Opens a connection. The engine starts only when the connector asks for files. @throws UNKNOWN_CONNECTOR, INVALID_OPTION */
export async function openConnection(connection: ConnectionSpec, options: LookOptions): Promise<ConnectionSession> {
  const trace = options.traceFile === undefined ? null : openTrace(options.traceFile);
  const files = lazyFiles(connectionFolders(connection));
  try {
    const open = await openConnector(connection, {
      clock: systemClock,
      env: options.env,
      ...(trace === null ? {} : {trace: trace.trace}),
    });
    return {
      connection,
      open,
      ctx: {signal: options.signal, clock: systemClock, log: silentLog, files},
      async [Symbol.asyncDispose](): Promise<void> {
        await open[Symbol.asyncDispose]();
        await files[Symbol.asyncDispose]();
        trace?.[Symbol.dispose]();
      },
    };
  } catch (error) {
    trace?.[Symbol.dispose]();
    throw error;
  }
}

/** A folder that stands for a lake while somebody looks at a source. Disposing removes it. */
export async function temporaryLake(): Promise<{readonly lake: string} & AsyncDisposable> {
  const lake = await mkdtemp(join(tmpdir(), 'sluice-look-'));
  return {lake, [Symbol.asyncDispose]: () => rm(lake, {recursive: true, force: true})};
}
