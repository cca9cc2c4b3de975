import {createServer, type IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';

import {messageOf} from '../core/errors.ts';

/** A request as a plain server gets it. */
export interface PlainRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** What a plain server answers. */
export interface PlainAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** A running plain server. Closing ends its sockets; closing twice is allowed. */
export interface PlainServer extends AsyncDisposable {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves a function on a free port of 127.0.0.1; what it throws is an answer 502. */
export async function plainServer(answer: (request: PlainRequest) => Promise<PlainAnswer>): Promise<PlainServer> {
  const server = createServer((incoming, outgoing) => {
    const answered = async (): Promise<void> => {
      const {status, headers, body} = await answer(await plainRequest(incoming)).catch(failed);
      const all: [string, string][] = headers.map(([name, value]) => [name, value]);
      if (status !== 204 && status !== 304) all.push(['content-length', String(body.length)]);
      outgoing.writeHead(status, all.flat()).end(incoming.method === 'HEAD' ? undefined : body);
    };
    answered().catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const {port} = server.address() as AddressInfo;
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    return closing;
  };
  return {url: `http://127.0.0.1:${port}`, close, [Symbol.asyncDispose]: close};
}

async function plainRequest(incoming: IncomingMessage): Promise<PlainRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers))
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  return {method: incoming.method ?? 'GET', target: incoming.url ?? '/', headers, body: Buffer.concat(chunks)};
}

function failed(error: unknown): PlainAnswer {
  return {status: 502, headers: [['content-type', 'text/plain']], body: Buffer.from(messageOf(error))};
}
