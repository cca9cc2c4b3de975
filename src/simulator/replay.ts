import {type Exchange, exchangeKey, ORIGIN, readCassette, recordedRequest} from './cassette.ts';
import {type PlainAnswer, type PlainServer, plainServer} from './plain-server.ts';
import {type RemovalOptions, SecretRemoval} from './secret-removal.ts';

/** A server that answers from a cassette. */
export interface Replay extends AsyncDisposable {
  readonly url: string;
  /** Requests that the cassette does not know, as method, path, query and body. */
  readonly misses: readonly string[];
  /** Ends its sockets. */
  close(): Promise<void>;
}

/**
 * Serves a cassette. A request must have the method, path, query (in any order) and body (JSON by what it says) of a recorded one;
 * credentials do not count. What was asked several times is answered in the recorded order, the last answer for ever. Anything
 * else is a 404 that names the nearest requests of the cassette.
 * @throws INVALID_SPEC when the file is no cassette.
 */
export async function replay(cassette: string | readonly Exchange[], options: RemovalOptions = {}): Promise<Replay> {
  const exchanges = typeof cassette === 'string' ? await readCassette(cassette) : cassette;
  const known = new Map<string, Exchange['response'][]>();
  for (const {request, response} of exchanges) {
    const key = exchangeKey(request);
    known.set(key, [...(known.get(key) ?? []), response]);
  }
  const misses: string[] = [];
  const removal = new SecretRemoval(options);
  const server: PlainServer = await plainServer((request) => {
    const own = `http://${request.headers.get('host') ?? ''}`;
    const neutral = (text: string): string =>
      text.replaceAll(encodeURIComponent(own), encodeURIComponent(ORIGIN)).replaceAll(own, ORIGIN);
    const {method, headers} = request;
    const text = neutral(request.body.toString());
    removal.learnHeaders(Object.fromEntries(headers));
    const key = exchangeKey(recordedRequest({method, headers, target: neutral(request.target), text}, removal));
    const answers = known.get(key);
    const answer = (answers?.length ?? 0) > 1 ? answers?.shift() : answers?.[0];
    if (answer !== undefined) return Promise.resolve(replayed(answer, own));
    misses.push(key);
    return Promise.resolve(missing(key, [...known.keys()]));
  });
  return {
    url: server.url,
    misses,
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

function replayed({status, headers, body, isBase64}: Exchange['response'], own: string): PlainAnswer {
  const restored = body.replaceAll(ORIGIN, own).replaceAll(encodeURIComponent(ORIGIN), encodeURIComponent(own));
  return {
    status,
    headers: Object.entries(headers).map(([name, value]) => [name, value.replaceAll(ORIGIN, own)] as const),
    body: isBase64 ? Buffer.from(body, 'base64') : Buffer.from(restored),
  };
}

function missing(key: string, keys: readonly string[]): PlainAnswer {
  const near = keys.map((one) => ({one, likeness: likeness(one, key)})).sort((a, b) => b.likeness - a.likeness);
  const body = {
    error: 'The cassette has no such request.',
    request: key,
    nearest: near.slice(0, 5).map(({one}) => one),
    fix: 'Record it, or correct the request.',
  };
  return {
    status: 404,
    headers: [['content-type', 'application/json']],
    body: Buffer.from(JSON.stringify(body, null, 2)),
  };
}

/** How much of two keys is the same: words of method, path and query. */
function likeness(left: string, right: string): number {
  const words = new Set(left.split(/[ /?&]/));
  return right.split(/[ /?&]/).filter((word) => words.has(word)).length;
}
