import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';

import {IngestError, messageOf} from '../../core/errors.ts';

/** Where the browser comes back to. Disposing stops listening. */
export interface LoginCallback extends AsyncDisposable {
  readonly redirectUri: string;
  /**
   * Waits for the answer with our state and tells the browser how `work` on it ended. @throws what `work` throws, or the
   * signal's reason
   */
  answered<T>(signal: AbortSignal, work: (answer: URLSearchParams) => Promise<T>): Promise<T>;
}

const PATH = '/callback';

/**
 * Listens on 127.0.0.1 for the browser. Requests without our state are answered and forgotten: anybody on this machine can
 * send them. @throws INVALID_OPTION when the port is taken
 */
export async function listenForCallback(options: {
  readonly port?: number | undefined;
  readonly redirectHost?: string | undefined;
  readonly state: string;
}): Promise<LoginCallback> {
  const waiting: Waiting = {handle: null};
  const server = createServer((request, response) => {
    const answer = answerOf(request, options.state);
    const {handle} = waiting;
    if (answer === null || handle === null) return void reply(response, 404, page('Nothing is waiting here.'));
    waiting.handle = null;
    void handle(answer, response);
  });
  const port = await listening(server, options.port ?? 0);
  return {
    redirectUri: `http://${options.redirectHost ?? '127.0.0.1'}:${port}${PATH}`,
    answered: (signal, work) => nextAnswer(waiting, signal, work),
    async [Symbol.asyncDispose](): Promise<void> {
      server.closeIdleConnections();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}

interface Waiting {
  handle: ((answer: URLSearchParams, response: ServerResponse) => Promise<void>) | null;
}

function nextAnswer<T>(
  waiting: Waiting,
  signal: AbortSignal,
  work: (answer: URLSearchParams) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, {once: true});
    waiting.handle = async (answer, response) => {
      try {
        const value = await work(answer);
        await reply(response, 200, page('You are logged in. You can close this window and go back to the terminal.'));
        resolve(value);
      } catch (error) {
        await reply(response, 400, page(`The login failed. ${messageOf(error)}`));
        reject(error as Error);
      } finally {
        signal.removeEventListener('abort', stop);
      }
    };
  });
}

function answerOf(request: IncomingMessage, state: string): URLSearchParams | null {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  return request.method === 'GET' && url.pathname === PATH && url.searchParams.get('state') === state
    ? url.searchParams
    : null;
}

function listening(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new IngestError('INVALID_OPTION', `Cannot listen on port ${port} of this machine: ${messageOf(error)}.`, {
          fix: 'Choose another --port.',
          cause: error,
        }),
      ),
    );
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function reply(response: ServerResponse, status: number, html: string): Promise<void> {
  return new Promise((resolve) => {
    response.writeHead(status, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      connection: 'close',
    });
    response.end(html, resolve);
    // A browser that is gone must not keep us waiting.
    response.once('close', resolve);
  });
}

function page(text: string): string {
  return `<!doctype html><meta charset="utf-8"><title>Sluice</title><body style="font-family:sans-serif;margin:4em"><p>${escaped(text)}</p>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
