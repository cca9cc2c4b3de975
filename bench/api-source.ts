// A connector's simulator behind a memory, in a process of its own: what was asked once is answered at once.
import {createHash} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';

import {proofs} from '../src/connectors/simulators.ts';
import type {ConnectorProof} from '../src/testkit/connector-proof.ts';

/** What the parent asks. */
export type SourceRequest =
  | {readonly kind: 'start'; readonly connector: string; readonly table: string; readonly rows: number}
  | {readonly kind: 'bodies'; readonly file: string};

/** What the child answers. */
export type SourceReply =
  | {
      readonly kind: 'started';
      readonly options: Readonly<Record<string, unknown>>;
      readonly tables: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
      readonly nowMs: number;
      readonly address: string;
    }
  | {
      readonly kind: 'bodies';
      readonly lengths: readonly number[];
      /** What was asked for them, in the same order. */
      readonly requests: readonly AskedRequest[];
      readonly misses: number;
      readonly hits: number;
    };

/** A request that the memory answers. */
export interface AskedRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly contentType: string;
}

interface Answer {
  readonly request: AskedRequest;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const memory = new Map<string, Answer>();
let hits = 0;
let misses = 0;

async function start(connector: string, table: string, rows: number): Promise<SourceReply> {
  const proof = (await proofs[connector]?.()) as ConnectorProof;
  const source = await proof.start({seed: 1, rows, table});
  const origin = Object.values(source.connectionOptions)
    .map(String)
    .map((value) => /^http:\/\/127\.0\.0\.1:\d+/.exec(value)?.[0])
    .find((value) => value !== undefined);
  if (origin === undefined) throw new Error(`${connector} has no option with the address of its source`);
  const server = createServer({keepAliveTimeout: 60_000}, (incoming, outgoing) => {
    void bodyOf(incoming).then(async (body) => {
      const key = `${incoming.method} ${incoming.url} ${createHash('sha1').update(body).digest('base64')}`;
      let answer = memory.get(key);
      if (answer === undefined) {
        misses++;
        const {method = 'GET', url = '/', headers} = incoming;
        const request = {method, path: url, body: body.toString(), contentType: headers['content-type'] ?? ''};
        answer = {request, ...(await forward(origin, incoming, body))};
        const here = `http://${incoming.headers.host ?? ''}`;
        answer = replaced(answer, origin, here);
        if (answer.status === 200) memory.set(key, answer);
      } else hits++;
      const {'content-type': type = 'application/json', link, etag} = answer.headers;
      outgoing.writeHead(answer.status, {
        'content-type': type,
        'content-length': answer.body.length,
        ...(link === undefined ? {} : {link}),
        ...(etag === undefined ? {} : {etag}),
      });
      outgoing.end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const options = Object.fromEntries(
    Object.entries(source.connectionOptions).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.replace(origin, address) : value,
    ]),
  );
  return {
    kind: 'started',
    options,
    tables: Object.fromEntries(Object.entries(proof.tables).map(([name, {options: given = {}}]) => [name, given])),
    nowMs: source.clock.nowMs(),
    address,
  };
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function forward(origin: string, incoming: IncomingMessage, body: Buffer): Promise<Omit<Answer, 'request'>> {
  const {'accept-encoding': _, host: __, ...headers} = incoming.headers;
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      `${origin}${incoming.url ?? ''}`,
      {method: incoming.method ?? 'GET', headers},
      (response) => {
        void bodyOf(response).then((bytes) =>
          resolve({status: response.statusCode ?? 500, headers: response.headers, body: bytes}),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Links back to the source lead here. */
function replaced(answer: Answer, from: string, to: string): Answer {
  const {link} = answer.headers;
  const headers = typeof link === 'string' ? {...answer.headers, link: link.replaceAll(from, to)} : answer.headers;
  const text = answer.body.toString('utf8');
  return {...answer, headers, body: text.includes(from) ? Buffer.from(text.replaceAll(from, to)) : answer.body};
}

process.on('message', (message: SourceRequest) => {
  const reply = (value: SourceReply): void => void process.send?.(value);
  if (message.kind === 'start') void start(message.connector, message.table, message.rows).then(reply);
  else {
    const bodies = [...memory.values()].filter(({headers}) => (headers['content-type'] ?? '').includes('json'));
    writeFileSync(message.file, Buffer.concat(bodies.map(({body}) => body)));
    const requests = bodies.map(({request}) => request);
    reply({kind: 'bodies', lengths: bodies.map(({body}) => body.length), requests, hits, misses});
    hits = 0;
    misses = 0;
  }
});
