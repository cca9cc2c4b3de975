import {appendFile, readFile, writeFile} from 'node:fs/promises';

import {IngestError} from '../core/errors.ts';
import {stringifyJson} from '../core/json-reader.ts';
import {cassetteHead, cleanBody, type Exchange, exchangeLine, ORIGIN, parsedJson, recordedRequest} from './cassette.ts';
import {type PlainAnswer, type PlainRequest, type PlainServer, plainServer} from './plain-server.ts';
import {parseBody} from './request.ts';
import {type RemovalOptions, SecretRemoval} from './secret-removal.ts';

/** What is recorded, and where to. */
export interface RecordOptions extends RemovalOptions {
  /** Scheme, host and port of the real API, for example `https://api.example.com`. */
  readonly target: string;
  /** The file that is written anew. */
  readonly cassette: string;
  /** Sends requests to the target. Default: `fetch` of the machine. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** A proxy that records. Closing waits until everything is on disk. */
export interface Recorder extends AsyncDisposable {
  /** Where the client sends its requests instead of to the target. */
  readonly url: string;
  /** Exchanges that were recorded. */
  readonly count: number;
  /** Ends its sockets and waits for the file. */
  close(): Promise<void>;
}

/**
 * Starts a proxy in front of a real API that writes every exchange to a cassette. Credentials never reach the file: headers,
 * parameters and fields with names of credentials are removed, and so is every value that was seen as one, wherever it stands.
 * Addresses of the target in answers become the proxy's, so that next links are recorded too.
 * @throws INVALID_OPTION when the target is no origin.
 */
export async function record(options: RecordOptions): Promise<Recorder> {
  const target = originOf(options.target);
  const removal = new SecretRemoval(options);
  await writeFile(options.cassette, cassetteHead());
  let count = 0;
  let written: Promise<void> = Promise.resolve();
  let cleanedOf = removal.knownTexts;
  const server: PlainServer = await plainServer(async (request) => {
    const own = `http://${request.headers.get('host') ?? ''}`;
    learnCredentials(request, removal);
    const answer = await forward(request, {target, own, send: options.fetch ?? fetch});
    const exchange = recordedExchange(request, answer, {target, own, removal});
    count++;
    // What shows only now to be a credential may stand in the lines before: in the answer that brought it.
    const isLearnt = removal.knownTexts > cleanedOf && count > 1;
    cleanedOf = removal.knownTexts;
    written = written.then(async () => {
      if (isLearnt) await cleanAgain(options.cassette, removal);
      await appendFile(options.cassette, exchangeLine(exchange));
    });
    await written;
    return {...answer, body: isText(answer) ? Buffer.from(swap(answer.body, target, own)) : answer.body};
  });
  const close = async (): Promise<void> => {
    await server.close();
    await written;
  };
  return {
    url: server.url,
    get count() {
      return count;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function cleanAgain(cassette: string, removal: SecretRemoval): Promise<void> {
  const text = await readFile(cassette, 'utf8');
  const clean = removal.known(text);
  if (clean !== text) await writeFile(cassette, clean);
}

function learnCredentials(request: PlainRequest, removal: SecretRemoval): void {
  removal.learnHeaders(Object.fromEntries(request.headers));
  removal.learnQuery(new URLSearchParams(request.target.split('?')[1] ?? ''));
  removal.learnBody(parseBody(request.body.toString(), request.headers.get('content-type') ?? ''));
}

interface Ends {
  readonly target: string;
  readonly own: string;
}

// The proxy speaks plainly on both sides: what concerns one connection only is not passed on.
const OF_ONE_HOP = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'content-encoding',
  'host',
  'expect',
  'upgrade',
]);
const UNCOMPRESSED: readonly [string, string] = ['accept-encoding', 'identity'];

async function forward(
  request: PlainRequest,
  {target, own, send}: Ends & {readonly send: NonNullable<RecordOptions['fetch']>},
): Promise<PlainAnswer> {
  const passed = [...request.headers].filter(([name]) => !OF_ONE_HOP.has(name) && name !== UNCOMPRESSED[0]);
  const headers = new Headers([...passed, [...UNCOMPRESSED]] as [string, string][]);
  const hasBody = request.body.length > 0;
  const url = `${target}${request.target.replaceAll(encodeURIComponent(own), encodeURIComponent(target))}`;
  const body = hasBody ? {body: new Uint8Array(request.body)} : {};
  const answer = await send(url, {method: request.method, headers, redirect: 'manual', ...body});
  const kept = [...answer.headers].filter(([name]) => !OF_ONE_HOP.has(name));
  return {
    status: answer.status,
    headers: kept.map(([name, value]) => [name, value.replaceAll(target, own)] as const),
    body: new Uint8Array(await answer.arrayBuffer()),
  };
}

function recordedExchange(
  request: PlainRequest,
  answer: PlainAnswer,
  {target, own, removal}: Ends & {readonly removal: SecretRemoval},
): Exchange {
  const type = answer.headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  const neutral = (text: string): string => swap(swap(text, target, ORIGIN), own, ORIGIN);
  const text = isText(answer) ? neutral(Buffer.from(answer.body).toString()) : null;
  if (text !== null) removal.learnBody(parsedJson(text) ?? null);
  const body = text === null ? Buffer.from(answer.body).toString('base64') : (cleanReply(text, type, removal) ?? '');
  return {
    request: recordedRequest({...request, text: neutral(request.body.toString())}, removal),
    response: {
      status: answer.status,
      headers: keptHeaders(answer, (value) => removal.text(neutral(value)), removal),
      body,
      isBase64: text === null,
    },
  };
}

// The order of names is the vendor's: only the texts of secrets change.
function cleanReply(text: string, type: string, removal: SecretRemoval): string | null {
  const value = parsedJson(text);
  return value === undefined ? cleanBody(text, type, removal) : stringifyJson(removal.json(value));
}

const KEPT =
  /^(?:content-type|link|location|etag|last-modified|retry-after|date|allow|preference-applied)$|rate-?limit|page|total|next|cursor|count|quota|version$/;

function keptHeaders(
  answer: PlainAnswer,
  clean: (value: string) => string,
  removal: SecretRemoval,
): Readonly<Record<string, string>> {
  const kept = answer.headers.filter(([name]) => KEPT.test(name) && !removal.isSecretName(name));
  return Object.fromEntries(
    kept.map(([name, value]) => [name, name === 'location' ? cleanUrl(clean(value), removal) : clean(value)]),
  );
}

/** An address with the credentials of its query removed. */
function cleanUrl(url: string, removal: SecretRemoval): string {
  const [path = '', search] = url.split('?');
  if (search === undefined) return url;
  const params = [...new URLSearchParams(search)].map(([name, value]): [string, string] => [
    name,
    removal.param(name, value),
  ]);
  return `${path}?${new URLSearchParams(params).toString()}`;
}

function isText({headers}: PlainAnswer): boolean {
  const type = headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  return type === '' || /^text\/|json|xml|csv|javascript|x-www-form-urlencoded/.test(type);
}

/** Replaces an address also where JSON escaped its slashes or a query encoded it. */
function swap(body: string | Uint8Array, from: string, to: string): string {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString();
  return text
    .replaceAll(from, to)
    .replaceAll(from.replaceAll('/', '\\/'), to.replaceAll('/', '\\/'))
    .replaceAll(encodeURIComponent(from), encodeURIComponent(to));
}

function originOf(target: string): string {
  if (URL.canParse(target)) {
    const url = new URL(target);
    if (url.pathname === '/' && url.search === '' && url.protocol.startsWith('http')) return url.origin;
  }
  throw new IngestError('INVALID_OPTION', 'The target of a recording must be scheme, host and port.', {
    fix: 'Leave out the path; the client sends it.',
  });
}
