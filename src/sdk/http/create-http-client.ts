import {IngestError} from '../../core/errors.ts';
import type {CreateContext} from '../define-connector.ts';
import {createAdmission} from './admission.ts';
import type {AuthSpec} from './auth.ts';
import {conditionalMemory} from './conditional-memory.ts';
import {credentialsFor} from './credentials-for.ts';
import {secretsOf} from './credentials.ts';
import type {Exchange} from './exchange-parts.ts';
import {exchange} from './exchange.ts';
import type {HttpClient, HttpRequest} from './http-client.ts';
import type {HttpClientOptions} from './http-options.ts';
import {createRedactor, isCredentialName} from './redaction.ts';
import {createTracer, heldTracer} from './trace.ts';
import {createTransport} from './transport.ts';
import type {ReadAnswer} from './verdict.ts';

const DEFAULT_CONCURRENCY = 16;
const DEFAULT_MEMORY_BYTES = 33_554_432;
const DEFAULT_MAX_WAIT_SECONDS = 900;

/**
 * Makes the client of one connection; it opens nothing before the first request. All readers of the connection share it, so
 * that limits, waits and tokens are theirs together. Closing it ends its sockets.
 * @throws INVALID_OPTION when the base URL, or an allowed origin, is no http or https URL.
 */
export function createHttpClient(options: HttpClientOptions, create: CreateContext): HttpClient {
  const {clock, random} = create;
  for (const url of [options.baseUrl, ...(options.allowedOrigins ?? [])]) checkAddress(url, create.connectionName);
  const redactor = createRedactor([
    ...(options.secrets ?? []),
    ...credentialOptions(create),
    ...[options.proxy, create.proxies?.http, create.proxies?.https].map(proxyPassword),
    ...userInfoOf(options.baseUrl),
  ]);
  const lifetime = new AbortController();
  const transport = createTransport(options, create.proxies);
  let credentials: ReturnType<Exchange['credentials']> | undefined;
  const shared: Exchange = {
    options,
    connectionName: create.connectionName,
    clock,
    random,
    transport,
    redactor,
    admission: createAdmission({
      clock,
      maxConcurrency: options.maxConcurrency ?? DEFAULT_CONCURRENCY,
      rate: options.rate,
      maxWaitMs: (options.rate?.maxWaitSeconds ?? DEFAULT_MAX_WAIT_SECONDS) * 1000,
    }),
    tracer: create.trace === undefined ? null : createTracer(create.trace, redactor, () => clock.nowMs()),
    memory: conditionalMemory(options.conditionalMemoryBytes ?? DEFAULT_MEMORY_BYTES),
    origins: new Set([options.baseUrl, ...(options.allowedOrigins ?? [])].map((url) => new URL(url).origin)),
    credentials() {
      credentials ??= makeCredentials();
      return credentials;
    },
  };
  const client = clientOver(shared, false, async () => {
    lifetime.abort(new Error('The connection was closed.'));
    await transport[Symbol.asyncDispose]();
  });
  return client;

  function makeCredentials(): ReturnType<Exchange['credentials']> {
    const given = options.auth ?? {kind: 'none'};
    const spec: AuthSpec = typeof given === 'function' ? given(create.options) : given;
    for (const secret of secretsOf(spec)) redactor.add(secret);
    const held = shared.tracer === null ? null : heldTracer(shared.tracer);
    return credentialsFor(spec, {
      client: clientOver({...shared, tracer: held?.tracer ?? null}, true, () => Promise.resolve()),
      releaseTrace: () => held?.release(),
      create,
      redactor,
      lifetime: lifetime.signal,
    });
  }
}

function clientOver(shared: Exchange, isAnonymous: boolean, close: () => Promise<void>): HttpClient {
  const asked = (request: HttpRequest): HttpRequest => (isAnonymous ? {...request, anonymous: true} : request);
  return {
    baseUrl: shared.options.baseUrl,
    async json(request, ctx) {
      const {head, json, sizeBytes} = await exchange(shared, asked(request), 'json', ctx);
      return {...head, body: json, sizeBytes};
    },
    async text(request, ctx) {
      const {head, text, sizeBytes} = await exchange(shared, asked(request), 'text', ctx);
      return {...head, body: text, sizeBytes};
    },
    async stream(request, ctx) {
      const answer = await exchange(shared, asked(request), 'stream', ctx);
      const body = bodyOf(answer);
      return {
        ...answer.head,
        body,
        async [Symbol.asyncDispose]() {
          answer.close();
          await body.return(undefined);
        },
      };
    },
    [Symbol.asyncDispose]: close,
  };
}

/** A stream's pieces; for an answer that was read whole (an accepted error) its text. */
async function* bodyOf({pieces, text}: ReadAnswer): AsyncGenerator<Uint8Array> {
  if (pieces !== null) yield* pieces;
  else if (text !== '') yield new TextEncoder().encode(text);
}

/** Options that are secret by their name, for connectors that forget to say so. */
function credentialOptions({options}: CreateContext): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) =>
    typeof value === 'string' && isCredentialName(name) ? [value] : [],
  );
}

function checkAddress(url: string, connection: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  // The address is not shown: it may hold a name and a password.
  throw new IngestError('INVALID_OPTION', `connection "${connection}": its address is no http or https URL.`, {
    fix: 'Write it with its protocol, for example https://api.example.com.',
    context: {connection},
  });
}

/** Credentials in an address are told by no message. */
function userInfoOf(url: string): readonly string[] {
  if (!URL.canParse(url)) return [];
  const {username, password} = new URL(url);
  // As they stand there, and as whoever answers repeats them.
  return [username, password].flatMap((text) => [
    text,
    new URLSearchParams(`a=${text.replaceAll('+', '%2B')}`).get('a') ?? '',
  ]);
}

function proxyPassword(proxy: string | undefined): string | undefined {
  return proxy !== undefined && URL.canParse(proxy) ? decodeURIComponent(new URL(proxy).password) : undefined;
}
