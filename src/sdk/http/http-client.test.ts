import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import {type AddressInfo, connect, type Socket} from 'node:net';
import {brotliCompressSync, gzipSync} from 'node:zlib';

import {describe, expect, it} from 'vitest';

import {testAuthority} from '../../../test/certificates.ts';
import type {TraceEntry} from '../define-connector.ts';
import {
  answer,
  bodyOf,
  clientOf,
  closeAfterEach,
  contextOf,
  manualClock,
  serve,
  until,
} from './local-http.support.test.ts';

closeAfterEach();

describe('a request', () => {
  it('is appended to the base URL, carries query and credentials, and reads numbers exactly', async () => {
    const seen: IncomingMessage[] = [];
    const baseUrl = await serve((request, response) => {
      seen.push(request);
      answer(response, 200, '{"id": 9007199254740993}');
    });
    const api = clientOf({baseUrl: `${baseUrl}/v2/`, auth: {kind: 'bearer', token: 'sesame-token'}});
    const query = {page: 2, tag: ['a b', 'c&d'], none: undefined};
    const reply = await api.json({url: '/users', query}, contextOf());
    expect(reply.body).toEqual({id: 9007199254740993n});
    expect(reply).toMatchObject({status: 200, notModified: false, sizeBytes: 24});
    expect(seen[0]?.url).toBe('/v2/users?page=2&tag=a%20b&tag=c%26d');
    expect(seen[0]?.headers).toMatchObject({authorization: 'Bearer sesame-token', 'user-agent': 'sluice'});
  });

  it('sends JSON, forms and keys in the query as told', async () => {
    const seen: string[] = [];
    const baseUrl = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        seen.push(`${request.method} ${request.url} ${request.headers['content-type']} ${body}`);
        answer(response, 200, '');
      });
    });
    const api = clientOf({baseUrl, auth: {kind: 'apiKey', in: 'query', name: 'api key', value: 'a&b'}});
    const reply = await api.json(
      {url: '/a?x=1', method: 'POST', body: {kind: 'json', value: {n: 12345678901234567890n}}},
      contextOf(),
    );
    await api.text({url: '/b', method: 'PUT', body: {kind: 'form', fields: {q: 'a b', r: ['1', '2']}}}, contextOf());
    expect(reply.body).toBeNull();
    expect(seen).toEqual([
      'POST /a?x=1&api%20key=a%26b application/json {"n":12345678901234567890}',
      'PUT /b?api%20key=a%26b application/x-www-form-urlencoded q=a+b&r=1&r=2',
    ]);
  });

  it.each([
    ['gzip', gzipSync('{"ok": true}')],
    ['br', brotliCompressSync('{"ok": true}')],
  ])('undoes %s', async (encoding, body) => {
    const baseUrl = await serve((_, response) => {
      answer(response, 200, body, {'content-encoding': encoding});
    });
    expect((await clientOf({baseUrl}).json({url: '/'}, contextOf())).body).toEqual({ok: true});
  });

  it("fails at once when its signal aborts, with the signal's reason", async () => {
    const stop = new AbortController();
    const baseUrl = await serve(() => {
      stop.abort(new Error('enough'));
    });
    await expect(clientOf({baseUrl}).json({url: '/'}, contextOf(stop.signal))).rejects.toThrow('enough');
  });

  it('refuses a body larger than allowed, compressed or not', async () => {
    const body = 'x'.repeat(5000);
    const baseUrl = await serve((request, response) => {
      if (request.url === '/gzip') answer(response, 200, gzipSync(body), {'content-encoding': 'gzip'});
      else answer(response, 200, body);
    });
    const api = clientOf({baseUrl, maxBodyBytes: 1000});
    for (const url of ['/gzip', '/plain'])
      await expect(api.text({url}, contextOf())).rejects.toMatchObject({code: 'SOURCE_ERROR', class: 'config'});
  });
});

describe('trying again', () => {
  it('helps after passing failures; the last one is told when none passes', async () => {
    let calls = 0;
    const baseUrl = await serve((request, response) => {
      calls++;
      if (request.url?.startsWith('/always') === true || calls < 3) answer(response, 502, {message: 'busy'});
      else answer(response, 200, {ok: true});
    });
    const api = clientOf({baseUrl, retries: {attempts: 3, baseMs: 1}});
    expect((await api.json({url: '/x'}, contextOf())).body).toEqual({ok: true});
    await expect(api.json({url: '/always?page=3'}, contextOf())).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
      class: 'transient',
      message: `GET ${baseUrl}/always answered 502: busy`,
    });
    expect(calls).toBe(6);
  });

  it.each([
    ['a reset connection', (response: {socket: {destroy(): void} | null}) => response.socket?.destroy()],
    [
      'a body cut short',
      (response: ServerResponse) => {
        response.writeHead(200, {'content-length': '100'});
        response.write('{"ok"');
        setTimeout(() => response.socket?.destroy(), 5);
      },
    ],
    ['malformed JSON', (response: ServerResponse) => response.end('{"ok": tr')],
    [
      'truncated gzip',
      (response: ServerResponse) => {
        response.writeHead(200, {'content-encoding': 'gzip'});
        response.end(gzipSync('{"ok": true, "more": "text"}').subarray(0, 25));
      },
    ],
  ])('helps after %s, for what may be repeated only', async (_, fail) => {
    let calls = 0;
    const baseUrl = await serve((_request, response) => {
      if (++calls % 2 === 1) fail(response);
      else answer(response, 200, {ok: true});
    });
    const api = clientOf({baseUrl, retries: {baseMs: 1}});
    expect((await api.json({url: '/'}, contextOf())).body).toEqual({ok: true});
    await expect(api.json({url: '/', method: 'POST'}, contextOf())).rejects.toMatchObject({class: 'transient'});
    calls = 0;
    expect((await api.json({url: '/', method: 'POST', isIdempotent: true}, contextOf())).body).toEqual({ok: true});
  });

  it('gives up on a first byte that does not come in time, and leaves a slow one alone', async () => {
    const baseUrl = await serve((request, response) => {
      if (request.url === '/never') return;
      setTimeout(() => {
        answer(response, 200, {ok: true});
      }, 300);
    });
    const api = clientOf({baseUrl, retries: {attempts: 1}});
    const timeouts = {headersMs: 150};
    await expect(api.json({url: '/never', timeouts}, contextOf())).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      context: {reason: 'UND_ERR_HEADERS_TIMEOUT'},
    });
    expect((await api.json({url: '/slow', timeouts: {headersMs: 5000}}, contextOf())).status).toBe(200);
  });

  it('says where nobody listens', async () => {
    const api = clientOf({baseUrl: 'http://127.0.0.1:9', retries: {attempts: 2, baseMs: 1}});
    await expect(api.json({url: '/x'}, contextOf())).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: 'No answer to GET http://127.0.0.1:9/x: it refuses connections (ECONNREFUSED).',
    });
  });

  it('waits exactly as Retry-After says, and all requests of the connection wait with it', async () => {
    const clock = manualClock();
    const arrivals: string[] = [];
    let isThrottling = true;
    const baseUrl = await serve((request, response) => {
      arrivals.push(request.url ?? '');
      if (isThrottling) answer(response, 429, {}, {'retry-after': '37'});
      else answer(response, 200, {});
    });
    const api = clientOf({baseUrl}, {clock});
    const first = api.json({url: '/first'}, contextOf());
    await until(() => clock.sleeping().length === 1);
    expect(clock.sleeping()).toEqual([37_000]);
    isThrottling = false;
    const others = [1, 2, 3].map((number) => api.json({url: `/other${number}`}, contextOf()));
    await until(() => clock.sleeping().length === 4);
    clock.advance(36_999);
    expect(arrivals).toEqual(['/first']);
    clock.advance(1);
    await Promise.all([first, ...others]);
    expect(arrivals).toHaveLength(5);
  });

  it('understands a date, a vendor header and a body that say how long', async () => {
    const clock = manualClock();
    const answers: ((response: ServerResponse) => void)[] = [
      (response) => answer(response, 503, {}, {'retry-after': new Date(clock.nowMs() + 20_000).toUTCString()}),
      (response) => answer(response, 403, {}, {'x-reset': String(clock.nowMs() / 1000 + 30)}),
      (response) => answer(response, 200, {error: {code: 'slow', wait: 40}}),
      (response) => answer(response, 200, {ok: true}),
    ];
    let calls = 0;
    const baseUrl = await serve((_, response) => {
      answers[calls++]?.(response);
    });
    const api = clientOf(
      {
        baseUrl,
        errors: [
          {
            when: {status: 403, header: {name: 'x-reset'}},
            then: 'rateLimit',
            wait: [{header: 'x-reset', unit: 'epochSeconds'}],
          },
          {
            when: {body: {path: 'error.code', equals: 'slow'}},
            then: 'rateLimit',
            wait: [{body: 'error.wait', unit: 'seconds'}],
          },
        ],
      },
      {clock},
    );
    const reply = api.json({url: '/'}, contextOf());
    for (const wait of [20_000, 30_000, 40_000]) {
      await until(() => clock.sleeping().length === 1);
      expect(clock.sleeping()).toEqual([wait]);
      clock.advance(wait);
    }
    expect((await reply).body).toEqual({ok: true});
  });

  it("takes the source's moments by the source's clock, however wrong the local one is", async () => {
    const clock = manualClock();
    let calls = 0;
    const baseUrl = await serve((_, response) => {
      const sourceMs = clock.nowMs() + 500_000;
      const headers = {
        date: new Date(sourceMs).toUTCString(),
        'retry-after': new Date(sourceMs + 20_000).toUTCString(),
      };
      answer(response, ++calls === 1 ? 429 : 200, {}, headers);
    });
    const reply = clientOf({baseUrl}, {clock}).json({url: '/'}, contextOf());
    await until(() => clock.sleeping().length === 1);
    expect(clock.sleeping()).toEqual([20_000]);
    clock.advance(20_000);
    await reply;
  });

  it('ends the run as throttled when the source asks for more patience than there is', async () => {
    const baseUrl = await serve((_, response) => {
      answer(response, 429, {}, {'retry-after': '3600'});
    });
    const errors = [
      {when: {status: 429}, then: 'rateLimit', message: 'The daily limit is used up.', fix: 'Buy more.'},
    ] as const;
    const api = clientOf({baseUrl, errors}, {clock: manualClock()});
    const throttled = {
      code: 'THROTTLED',
      class: 'throttled',
      retryAfterMs: 3_600_000,
      message: `The daily limit is used up (GET ${baseUrl}/ answered 429). The next request may be sent in 3600 s.`,
      fix: 'Buy more.',
    };
    await expect(api.json({url: '/'}, contextOf())).rejects.toMatchObject(throttled);
    await expect(api.json({url: '/other'}, contextOf())).rejects.toMatchObject(throttled);
  });
});

describe('error rules', () => {
  it('decide in their order: the request, the connection, the status', async () => {
    const baseUrl = await serve((request, response) => {
      answer(response, Number(request.url?.slice(1)), {error: {code: 'gone', message: 'It is\n gone.'}});
    });
    const api = clientOf({
      baseUrl,
      errors: [
        {when: {status: 410}, then: 'fail', code: 'UNKNOWN_TABLE', message: 'No such list.', fix: 'Choose another.'},
      ],
    });
    const accept = [{when: {status: [409, 410]}, then: 'accept'}] as const;
    expect(await api.json({url: '/409', errors: accept}, contextOf())).toMatchObject({
      status: 409,
      body: {error: {code: 'gone'}},
    });
    await expect(api.json({url: '/410'}, contextOf())).rejects.toMatchObject({
      code: 'UNKNOWN_TABLE',
      message: `No such list (GET ${baseUrl}/410 answered 410): It is gone.`,
      fix: 'Choose another.',
    });
    await expect(api.json({url: '/403'}, contextOf())).rejects.toMatchObject({code: 'PERMISSION_DENIED'});
    await expect(api.json({url: '/404'}, contextOf())).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(api.json({url: '/400'}, contextOf())).rejects.toMatchObject({code: 'SOURCE_ERROR', class: 'config'});
    await expect(api.json({url: '/401'}, contextOf())).rejects.toMatchObject({code: 'AUTH_FAILED', class: 'config'});
  });

  it('find a field by the same paths as the records of a listing', async () => {
    const baseUrl = await serve((_, response) => {
      answer(response, 200, {errors: [{'error.code': 'quota'}]});
    });
    for (const path of ['errors[0]["error.code"]', 'errors.*["error.code"]']) {
      const when = {status: 200, body: {path, equals: 'quota'}};
      const api = clientOf({baseUrl, errors: [{when, then: 'fail', code: 'PERMISSION_DENIED'}]});
      await expect(api.json({url: '/'}, contextOf())).rejects.toMatchObject({code: 'PERMISSION_DENIED'});
    }
  });
});

describe('other origins', () => {
  it('are never sent a request that would carry credentials', async () => {
    const calls: IncomingMessage[] = [];
    const other = await serve((request, response) => {
      calls.push(request);
      answer(response, 200, {});
    });
    const baseUrl = await serve((_, response) => {
      answer(response, 200, {});
    });
    const auth = {kind: 'bearer', token: 'sesame'} as const;
    const api = clientOf({baseUrl, auth});
    const refused = {code: 'SOURCE_ERROR', class: 'config'};
    await expect(api.json({url: `${other}/next?page=2`}, contextOf())).rejects.toMatchObject(refused);
    await expect(api.json({url: `//${new URL(other).host}/next`}, contextOf())).rejects.toMatchObject(refused);
    expect(calls).toEqual([]);
    await api.json({url: `${other}/file`, anonymous: true}, contextOf());
    await clientOf({baseUrl, auth, allowedOrigins: [other]}).json({url: `${other}/next`}, contextOf());
    expect(calls.map(({headers}) => headers.authorization)).toEqual([undefined, 'Bearer sesame']);
  });

  it('get no credentials by a redirect; the own origin does', async () => {
    const seen: string[] = [];
    const other = await serve((request, response) => {
      seen.push(`other ${request.url} ${String(request.headers.authorization)} ${String(request.headers['x-key'])}`);
      answer(response, 200, {from: 'other'});
    });
    const baseUrl = await serve((request, response) => {
      seen.push(`own ${request.method} ${request.url} ${request.headers.authorization}`);
      const location = {'/away': `${other}/file`, '/moved': '/new', '/see': '/new', '/loop': '/loop'}[
        request.url ?? ''
      ];
      if (location === undefined) answer(response, 200, {from: 'own'});
      else answer(response, request.url === '/see' ? 303 : 307, '', {location});
    });
    const api = clientOf({baseUrl, auth: {kind: 'bearer', token: 'sesame'}, headers: {'x-key': 'k'}});
    const away = await api.json({url: '/away', headers: {'X-Key': 'mine'}}, contextOf());
    expect(away).toMatchObject({body: {from: 'other'}, url: `${other}/file`});
    await api.json({url: '/moved', method: 'PUT', body: {kind: 'json', value: 1}}, contextOf());
    await api.json({url: '/see', method: 'POST'}, contextOf());
    expect(seen).toEqual([
      'own GET /away Bearer sesame',
      'other /file undefined undefined',
      'own PUT /moved Bearer sesame',
      'own PUT /new Bearer sesame',
      'own POST /see Bearer sesame',
      'own GET /new Bearer sesame',
    ]);
    await expect(api.json({url: '/loop'}, contextOf())).rejects.toThrow('again and again');
    const write = {method: 'POST', body: {kind: 'json', value: 1}} as const;
    await expect(api.json({url: '/moved', ...write}, contextOf())).rejects.toThrow('sent twice');
    await expect(api.json({url: '/away', ...write, isIdempotent: true}, contextOf())).rejects.toThrow('another origin');
  });
});

describe('TLS', () => {
  it('trusts an authority that the connection names, and nobody unknown', async () => {
    const authority = testAuthority();
    const baseUrl = await serve((_, response) => {
      answer(response, 200, {ok: true});
    }, authority.issue('localhost'));
    const api = clientOf({baseUrl, ca: authority.certificate});
    expect((await api.json({url: '/'}, contextOf())).body).toEqual({ok: true});
    await expect(clientOf({baseUrl}).json({url: '/'}, contextOf())).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      class: 'config',
    });
    const foreign = clientOf({baseUrl, ca: testAuthority().certificate});
    await expect(foreign.json({url: '/'}, contextOf())).rejects.toMatchObject({class: 'config'});
    await expect(clientOf({baseUrl, caFile: '/nowhere.pem'}).json({url: '/'}, contextOf())).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

describe('an address', () => {
  it.each(['api.example.com', 'localhost:8080', '127.0.0.1:9', 'ftp://user:hush@example.com', ''])(
    'that is no URL of the web is refused before anything is asked: %s',
    (baseUrl) => {
      expect(() => clientOf({baseUrl})).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          message: 'connection "shop": its address is no http or https URL.',
        }),
      );
    },
  );
});

describe('a proxy', () => {
  /** A proxy that leads every tunnel to one origin, and what it was asked for. */
  async function tunnel(): Promise<{readonly url: string; readonly asked: string[]; readonly close: () => void}> {
    const asked: string[] = [];
    const origin = await serve((_, response) => {
      answer(response, 200, {ok: true});
    });
    const proxy = createServer();
    proxy.on('connect', (request, client: Socket, head: Buffer) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization']}`);
      const server = connect(Number(new URL(origin).port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        server.write(head);
        server.pipe(client).pipe(server);
      });
    });
    await new Promise<void>((resolve) => {
      proxy.listen(0, '127.0.0.1', resolve);
    });
    const {port} = proxy.address() as AddressInfo;
    return {url: `http://me:proxy-pass@127.0.0.1:${port}`, asked, close: () => proxy.close()};
  }
  const LOGIN = `Basic ${Buffer.from('me:proxy-pass').toString('base64')}`;

  it('is used when the connection names one', async () => {
    const proxy = await tunnel();
    const api = clientOf({baseUrl: 'http://source.example', proxy: proxy.url}, {proxies: {http: 'http://127.0.0.1:1'}});
    expect((await api.json({url: '/'}, contextOf())).body).toEqual({ok: true});
    expect(proxy.asked).toEqual([`source.example:80 ${LOGIN}`]);
    await api[Symbol.asyncDispose]();
    proxy.close();
  });

  it('is used when the environment names one, but not for this machine and the hosts that it leaves out', async () => {
    const proxy = await tunnel();
    const here = await serve((_, response) => {
      answer(response, 200, {here: true});
    });
    const proxies = {http: proxy.url, none: 'inside.example'};
    const api = clientOf({baseUrl: 'http://source.example'}, {proxies});
    expect((await api.json({url: '/'}, contextOf())).body).toEqual({ok: true});
    expect(proxy.asked).toEqual([`source.example:80 ${LOGIN}`]);
    expect((await clientOf({baseUrl: here}, {proxies}).json({url: '/'}, contextOf())).body).toEqual({here: true});
    const inside = clientOf({baseUrl: 'http://api.inside.example', retries: {attempts: 1}}, {proxies});
    await expect(inside.json({url: '/'}, contextOf())).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
    expect(proxy.asked).toHaveLength(1);
    const socks = clientOf({baseUrl: 'http://source.example'}, {proxies: {http: 'socks5://me:hush@127.0.0.1:1'}});
    await expect(socks.json({url: '/'}, contextOf())).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.not.stringContaining('hush') as string,
    });
    await api[Symbol.asyncDispose]();
    proxy.close();
  });
});

describe('a client', () => {
  it('that closes ends the requests under way, and takes no new ones', async () => {
    const baseUrl = await serve(() => undefined);
    const api = clientOf({baseUrl});
    const call = api.json({url: '/'}, contextOf());
    const refused = expect(call).rejects.toMatchObject({code: 'CANCELLED'});
    await new Promise((resolve) => setTimeout(resolve, 50));
    await api[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
    await refused;
    await expect(api.json({url: '/'}, contextOf())).rejects.toMatchObject({code: 'CONTRACT_VIOLATION'});
  });

  it('says so when credentials hold a line end', async () => {
    const api = clientOf({baseUrl: 'http://127.0.0.1:9', auth: {kind: 'bearer', token: 'copied\n'}});
    await expect(api.json({url: '/'}, contextOf())).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });
});

describe('conditional requests', () => {
  it('answer a 304 from memory, headers of the remembered answer included', async () => {
    const asked: (string | undefined)[] = [];
    const baseUrl = await serve((request, response) => {
      asked.push(request.headers['if-none-match']);
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304, {'x-left': '4'}).end();
      else answer(response, 200, {rows: [1]}, {etag: '"1"', link: '<next>', 'x-left': '5'});
    });
    const api = clientOf({baseUrl});
    const request = {url: '/list', conditional: true};
    const first = await api.json(request, contextOf());
    const second = await api.json(request, contextOf());
    expect([first.notModified, second.notModified]).toEqual([false, true]);
    expect(second).toMatchObject({status: 200, body: {rows: [1]}, sizeBytes: first.sizeBytes});
    expect([second.headers.get('Link'), second.headers.get('x-left')]).toEqual(['<next>', '4']);
    await api.json({url: '/list'}, contextOf());
    await clientOf({baseUrl, conditionalMemoryBytes: 8}).json(request, contextOf());
    expect(asked).toEqual([undefined, '"1"', undefined, undefined]);
  });

  it('leave the records of earlier answers as they are', async () => {
    const rows = Array.from({length: 5000}, (_, id) => ({id, name: `row ${id}`}));
    const baseUrl = await serve((request, response) => {
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else answer(response, 200, {rows}, {etag: '"1"'});
    });
    const api = clientOf({baseUrl});
    const ask = (): ReturnType<typeof api.json> => api.json({url: '/list', conditional: true}, contextOf());
    const answers = [await ask(), ...(await Promise.all([ask(), ask()]))];
    for (const {body, sizeBytes} of answers) {
      expect(body).toEqual({rows});
      expect(sizeBytes).toBe(JSON.stringify({rows}).length);
    }
  });
});

describe('a stream', () => {
  it('comes in pieces, is tried again before the first, and tells where it broke off after it', async () => {
    let calls = 0;
    const baseUrl = await serve((request, response) => {
      if (++calls === 1) {
        response.socket?.destroy();
        return;
      }
      response.writeHead(200, {'content-encoding': request.url === '/gzip' ? 'gzip' : 'identity'});
      if (request.url === '/gzip') response.end(gzipSync('one two'));
      else {
        response.write('12345');
        setTimeout(() => response.socket?.destroy(), 20);
      }
    });
    const api = clientOf({baseUrl, retries: {baseMs: 1}});
    const whole = await api.stream({url: '/gzip'}, contextOf());
    let text = '';
    for await (const piece of whole.body) text += Buffer.from(piece).toString();
    expect(text).toBe('one two');
    const broken = await api.stream({url: '/cut'}, contextOf());
    const read = async (): Promise<void> => {
      for await (const _ of broken.body);
    };
    await expect(read()).rejects.toMatchObject({code: 'SOURCE_ERROR', class: 'transient', context: {sizeBytes: 5}});
  });

  it('ends when it is disposed before its end', async () => {
    let isClosed = false;
    const baseUrl = await serve((_, response) => {
      response.on('close', () => {
        isClosed = true;
      });
      response.write('x'.repeat(1000));
    });
    const stream = await clientOf({baseUrl}).stream({url: '/'}, contextOf());
    await stream[Symbol.asyncDispose]();
    await until(() => isClosed);
  });
});

describe('secrets', () => {
  it('appear in no trace, no message and no log line', async () => {
    const traces: TraceEntry[] = [];
    const lines: string[] = [];
    const baseUrl = await serve((request, response) => {
      const status = request.url?.startsWith('/fail') === true ? 400 : 200;
      const body = {
        message: `key s3cret-key/+ of ${String(request.headers.authorization)}`,
        access_token: 'tok-from-answer',
      };
      answer(response, status, body, {'set-cookie': 'session=cookie-value'});
    });
    const api = clientOf(
      {baseUrl, auth: {kind: 'basic', username: 'me', password: 'pass-word-1'}, secrets: ['s3cret-key/+']},
      {trace: (entry) => traces.push(entry)},
    );
    const request = {
      method: 'PUT',
      query: {api_key: 'query-key', page: 1},
      headers: {'x-api-key': 'header-key'},
      body: {kind: 'json', value: {client_secret: 'in-body', note: 's3cret-key/+', row: 'visible'}},
      about: 'token s3cret-key/+',
    } as const;
    await api.json({url: '/ok', ...request}, contextOf(undefined, lines));
    const error: unknown = await api
      .json({url: '/fail/s3cret-key/+', ...request}, contextOf(undefined, lines))
      .catch((thrown: unknown) => thrown);
    const everything = JSON.stringify([traces, lines, String(error), (error as {context: unknown}).context]);
    for (const secret of [
      's3cret-key',
      'pass-word-1',
      Buffer.from('me:pass-word-1').toString('base64'),
      'query-key',
      'header-key',
      'in-body',
      'tok-from-answer',
      'cookie-value',
    ])
      expect(everything).not.toContain(secret);
    expect(traces).toHaveLength(2);
    expect(traces[0]).toMatchObject({
      attempt: 1,
      request: {method: 'PUT', url: `${baseUrl}/ok?api_key=***&page=1`},
      response: {status: 200},
    });
    expect(traces[0]?.request.body).toContain('visible');
  });
});
