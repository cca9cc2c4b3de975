import {createHmac, generateKeyPairSync} from 'node:crypto';

import fc from 'fast-check';
import {decodeProtectedHeader, jwtVerify} from 'jose';
import {describe, expect, it} from 'vitest';

import {systemClock} from '../../core/clock.ts';
import type {SecretStore, TraceEntry} from '../define-connector.ts';
import type {OAuth2Spec} from './auth.ts';
import {REFRESH_TOKEN_SECRET} from './kept-refresh-token.ts';
import {
  answer,
  bodyOf,
  clientOf,
  closeAfterEach,
  contextOf,
  manualClock,
  serve,
  sharedSecrets,
} from './local-http.support.test.ts';
import {oauth1Header, percentEncode, signatureBaseString} from './oauth1.ts';

closeAfterEach();

/** A source that rotates refresh tokens: the newest one works once. */
interface RotatingSource {
  readonly origin: string;
  readonly tokenCalls: URLSearchParams[];
  /** Refuses the access tokens given so far. */
  expire(): void;
  refreshToken: string;
}

async function rotatingSource({expiresIn}: {expiresIn?: number} = {}): Promise<RotatingSource> {
  const source = {
    tokenCalls: [] as URLSearchParams[],
    refreshToken: 'refresh-0',
    origin: '',
    expire: () => undefined as void,
  };
  let valid = '';
  source.expire = () => {
    valid = '';
  };
  source.origin = await serve((request, response) => {
    if (request.url !== '/token') {
      const isValid = valid !== '' && request.headers.authorization === `Bearer ${valid}`;
      setTimeout(() => {
        answer(response, isValid ? 200 : 401, {});
      }, 5);
      return;
    }
    void bodyOf(request).then((body) => {
      const fields = new URLSearchParams(body);
      source.tokenCalls.push(fields);
      const number = source.tokenCalls.length;
      const given = fields.get('refresh_token') ?? fields.get('code');
      if (given !== source.refreshToken) {
        answer(response, 400, {error: 'invalid_grant', error_description: `unknown ${String(given)}`});
        return;
      }
      valid = `access-${number}`;
      source.refreshToken = `refresh-${number}`;
      answer(response, 200, {access_token: valid, refresh_token: source.refreshToken, expires_in: expiresIn});
    });
  });
  return source;
}

function refreshing(source: RotatingSource, more: Partial<OAuth2Spec> = {}): OAuth2Spec {
  return {
    kind: 'oauth2',
    grant: 'refresh_token',
    tokenUrl: `${source.origin}/token`,
    clientId: 'client',
    clientSecret: 'client-secret',
    refreshToken: 'refresh-0',
    ...more,
  };
}

describe('a refresh', () => {
  it('happens once for fifty requests that find the token expired', async () => {
    const source = await rotatingSource();
    const secrets = sharedSecrets();
    const api = clientOf({baseUrl: source.origin, auth: refreshing(source), maxConcurrency: 50}, {secrets});
    const fifty = (): Promise<unknown> =>
      Promise.all(Array.from({length: 50}, (_, index) => api.json({url: `/${index}`}, contextOf())));
    await fifty();
    expect(source.tokenCalls).toHaveLength(1);
    source.expire();
    await fifty();
    expect(source.tokenCalls).toHaveLength(2);
    expect(Object.fromEntries(source.tokenCalls[1] ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-1',
      client_id: 'client',
      client_secret: 'client-secret',
    });
  });

  it('happens a minute before the token expires', async () => {
    const clock = manualClock();
    const source = await rotatingSource({expiresIn: 600});
    const api = clientOf({baseUrl: source.origin, auth: refreshing(source)}, {clock, secrets: sharedSecrets()});
    await api.json({url: '/a'}, contextOf());
    clock.advance(539_000);
    await api.json({url: '/b'}, contextOf());
    expect(source.tokenCalls).toHaveLength(1);
    clock.advance(1000);
    await api.json({url: '/c'}, contextOf());
    expect(source.tokenCalls).toHaveLength(2);
  });

  it('makes the new refresh token durable before its access token is used', async () => {
    const source = await rotatingSource();
    const shared = sharedSecrets();
    const dying: SecretStore = {
      get: (name) => shared.get(name),
      replace: () => Promise.reject(new Error('killed before it was durable')),
    };
    const first = clientOf({baseUrl: source.origin, auth: refreshing(source)}, {secrets: dying});
    await expect(first.json({url: '/a'}, contextOf())).rejects.toThrow('killed before it was durable');
    expect(shared.values.size).toBe(0);

    const other = await rotatingSource();
    const kept: string[] = [];
    const watched: SecretStore = {
      get: (name) => shared.get(name),
      async replace(name, expected, value) {
        kept.push(value);
        return shared.replace(name, expected, value);
      },
    };
    await clientOf({baseUrl: other.origin, auth: refreshing(other)}, {secrets: watched}).json({url: '/a'}, contextOf());
    expect(kept).toEqual([shared.values.get(REFRESH_TOKEN_SECRET)]);
    // The next process begins with what was kept, not with the option, which no longer works.
    await clientOf({baseUrl: other.origin, auth: refreshing(other)}, {secrets: watched}).json({url: '/a'}, contextOf());
    expect(other.tokenCalls.map((fields) => fields.get('refresh_token'))).toEqual(['refresh-0', 'refresh-1']);
  });

  it('takes the token of another process that was first', async () => {
    const source = await rotatingSource();
    const secrets = sharedSecrets();
    const options = {baseUrl: source.origin, auth: refreshing(source)};
    const [one, two] = [clientOf(options, {secrets}), clientOf(options, {secrets})];
    await Promise.all(
      [one.json({url: '/1'}, contextOf()), two.json({url: '/2'}, contextOf())].map((call) =>
        call.catch(() => undefined),
      ),
    );
    source.expire();
    await one.json({url: '/1'}, contextOf());
    source.expire();
    await two.json({url: '/2'}, contextOf());
    expect(secrets.values.get(REFRESH_TOKEN_SECRET)).toMatch(new RegExp(`:${source.refreshToken}$`));
  });

  it('forgets what was kept after a new login', async () => {
    const source = await rotatingSource();
    const secrets = sharedSecrets();
    await clientOf({baseUrl: source.origin, auth: refreshing(source)}, {secrets}).json({url: '/a'}, contextOf());
    source.refreshToken = 'from-new-login';
    const auth = refreshing(source, {refreshToken: 'from-new-login'});
    await clientOf({baseUrl: source.origin, auth}, {secrets}).json({url: '/a'}, contextOf());
    expect(source.tokenCalls[1]?.get('refresh_token')).toBe('from-new-login');
  });

  it('is not tried again once it was refused for good, and the error names the way to log in', async () => {
    const source = await rotatingSource();
    const api = clientOf({baseUrl: source.origin, auth: refreshing(source, {refreshToken: 'stale-token'})});
    const refused = {
      code: 'AUTH_FAILED',
      class: 'config',
      message: `The connection "shop" got no token from ${source.origin} (invalid_grant: unknown ***).`,
      fix: 'Log in again: sluice connections login shop',
    };
    await expect(api.json({url: '/a'}, contextOf())).rejects.toMatchObject(refused);
    await expect(api.json({url: '/b'}, contextOf())).rejects.toMatchObject(refused);
    expect(source.tokenCalls).toHaveLength(1);
  });

  it('leaves a caller that is aborted and goes on for the others', async () => {
    let release = (): void => undefined;
    const origin = await serve((request, response) => {
      if (request.url === '/token')
        release = () => {
          answer(response, 200, {access_token: 'access'});
        };
      else answer(response, 200, {});
    });
    const auth: OAuth2Spec = {
      kind: 'oauth2',
      grant: 'client_credentials',
      tokenUrl: `${origin}/token`,
      clientId: 'c',
      clientSecret: 'cs',
    };
    const api = clientOf({baseUrl: origin, auth});
    const stop = new AbortController();
    const leaving = api.json({url: '/a'}, contextOf(stop.signal));
    const staying = api.json({url: '/b'}, contextOf());
    stop.abort(new Error('enough'));
    await expect(leaving).rejects.toThrow('enough');
    await new Promise((resolve) => setTimeout(resolve, 30));
    release();
    expect((await staying).status).toBe(200);
  });
});

describe('a refused token', () => {
  it('is replaced once; then the credentials are to blame', async () => {
    let tokens = 0;
    const origin = await serve((request, response) => {
      if (request.url === '/token') answer(response, 200, {access_token: `access-${++tokens}`});
      else answer(response, 401, {message: 'no'});
    });
    const auth: OAuth2Spec = {
      kind: 'oauth2',
      grant: 'password',
      tokenUrl: `${origin}/token`,
      username: 'u',
      password: 'pass-1',
      clientAuth: 'none',
    };
    await expect(clientOf({baseUrl: origin, auth}).json({url: '/a'}, contextOf())).rejects.toMatchObject({
      code: 'AUTH_FAILED',
      fix: expect.stringContaining('sluice connections login shop') as string,
    });
    expect(tokens).toBe(2);
  });
});

describe('grants', () => {
  const {privateKey, publicKey} = generateKeyPairSync('rsa', {modulusLength: 2048});

  async function tokenServer(reply: unknown = {access_token: 'access-token-1', expires_in: '3600'}): Promise<{
    origin: string;
    asked: {headers: Record<string, unknown>; fields: URLSearchParams}[];
    used: (string | undefined)[];
  }> {
    const asked: {headers: Record<string, unknown>; fields: URLSearchParams}[] = [];
    const used: (string | undefined)[] = [];
    const origin = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        if (request.url === '/token') {
          asked.push({headers: request.headers, fields: new URLSearchParams(body)});
          answer(response, 200, reply);
        } else {
          used.push(request.headers.authorization);
          answer(response, 200, {});
        }
      });
    });
    return {origin, asked, used};
  }

  it('exchange the code of a browser login with its verifier once, then refresh', async () => {
    const source = await rotatingSource();
    source.refreshToken = 'the-code';
    const secrets = sharedSecrets();
    const {refreshToken: _, ...spec} = refreshing(source, {grant: 'authorization_code'});
    const auth = {...spec, code: {value: 'the-code', verifier: 'the-verifier', redirectUri: 'http://127.0.0.1/cb'}};
    await clientOf({baseUrl: source.origin, auth}, {secrets}).json({url: '/a'}, contextOf());
    await clientOf({baseUrl: source.origin, auth}, {secrets}).json({url: '/a'}, contextOf());
    expect(source.tokenCalls.map((fields) => fields.get('grant_type'))).toEqual([
      'authorization_code',
      'refresh_token',
    ]);
    expect(source.tokenCalls[0]?.get('code_verifier')).toBe('the-verifier');
  });

  it('prove the client with Basic, encoded as the rule wants', async () => {
    const {origin, asked, used} = await tokenServer();
    const auth: OAuth2Spec = {
      kind: 'oauth2',
      grant: 'client_credentials',
      tokenUrl: `${origin}/token`,
      clientId: 'id:1',
      clientSecret: 'p w',
      clientAuth: 'basic',
      scope: 'read write',
      extraParams: {audience: 'x'},
    };
    await clientOf({baseUrl: origin, auth}).json({url: '/a'}, contextOf());
    expect(asked[0]?.headers['authorization']).toBe(`Basic ${Buffer.from('id%3A1:p%20w').toString('base64')}`);
    expect(Object.fromEntries(asked[0]?.fields ?? [])).toEqual({
      grant_type: 'client_credentials',
      scope: 'read write',
      audience: 'x',
    });
    expect(used).toEqual(['Bearer access-token-1']);
  });

  it.each(['pkcs1', 'pkcs8'] as const)('sign an assertion with a key in %s', async (type) => {
    const {origin, asked} = await tokenServer();
    const key = privateKey.export({type, format: 'pem'}).toString();
    const auth: OAuth2Spec = {
      kind: 'oauth2',
      grant: 'jwt_bearer',
      tokenUrl: `${origin}/token`,
      clientId: 'the-client',
      clientAuth: 'private_key_jwt',
      scope: 'read',
      jwt: {
        privateKey: key.replaceAll('\n', '\\n'),
        algorithm: 'RS256',
        subject: 'user@example.com',
        keyId: 'k1',
        audience: 'https://login.example.com',
      },
    };
    await clientOf({baseUrl: origin, auth}).json({url: '/a'}, contextOf());
    const fields = asked[0]?.fields;
    const assertion = await jwtVerify(fields?.get('assertion') ?? '', publicKey, {
      audience: 'https://login.example.com',
    });
    expect(assertion.payload).toMatchObject({iss: 'the-client', sub: 'user@example.com', scope: 'read'});
    expect(decodeProtectedHeader(fields?.get('assertion') ?? '').kid).toBe('k1');
    const client = await jwtVerify(fields?.get('client_assertion') ?? '', publicKey);
    expect(client.payload).toMatchObject({iss: 'the-client', sub: 'the-client'});
    expect(client.payload.jti).toEqual(expect.any(String));
  });

  it('take a token from a form, and say when there is none', async () => {
    const {origin, used} = await tokenServer('access_token=form-token&scope=read');
    const auth: OAuth2Spec = {
      kind: 'oauth2',
      grant: 'client_credentials',
      tokenUrl: `${origin}/token`,
      clientId: 'c',
      clientSecret: 'cs',
    };
    await clientOf({baseUrl: origin, auth}).json({url: '/a'}, contextOf());
    expect(used).toEqual(['Bearer form-token']);
    const empty = await tokenServer({ok: false, error: 'bad_client'});
    const without = clientOf({baseUrl: empty.origin, auth: {...auth, tokenUrl: `${empty.origin}/token`}});
    await expect(without.json({url: '/a'}, contextOf())).rejects.toMatchObject({code: 'AUTH_FAILED'});
  });

  it('show tokens and secrets in no trace', async () => {
    const source = await rotatingSource();
    const traces: TraceEntry[] = [];
    await clientOf({baseUrl: source.origin, auth: refreshing(source)}, {trace: (entry) => traces.push(entry)}).json(
      {url: '/a'},
      contextOf(),
    );
    expect(traces).toHaveLength(2);
    expect(JSON.stringify(traces)).not.toMatch(/refresh-0|refresh-1|access-1|client-secret/);
  });
});

describe('other logins', () => {
  it('log in by a call and send what it gave, by header or cookie', async () => {
    const seen: unknown[] = [];
    let logins = 0;
    const origin = await serve((request, response) => {
      if (request.url === '/login') answer(response, 200, {data: {sid: `session-${++logins}`}});
      else {
        seen.push(request.headers['x-session'] ?? request.headers.cookie);
        answer(response, seen.length === 1 ? 401 : 200, {});
      }
    });
    const login = {url: '/login', body: {kind: 'json', value: {user: 'u', password: 'pass-1'}}} as const;
    const byHeader = {kind: 'session', login, tokenPath: 'data.sid', send: {header: 'X-Session'}} as const;
    await clientOf({baseUrl: origin, auth: byHeader}).json({url: '/a'}, contextOf());
    await clientOf({baseUrl: origin, auth: {...byHeader, send: {cookie: 'sid'}}}).json({url: '/a'}, contextOf());
    expect(seen).toEqual(['session-1', 'session-2', 'sid=session-3']);
    const wrong = clientOf({baseUrl: origin, auth: {...byHeader, tokenPath: 'nothing'}});
    await expect(wrong.json({url: '/a'}, contextOf())).rejects.toMatchObject({code: 'AUTH_FAILED'});
  });

  it('show the token of a login in no trace, whatever the field is called that brings it', async () => {
    const origin = await serve((request, response) => {
      answer(response, 200, request.url === '/login' ? {data: {key: 'sess-abcdef'}} : {seen: request.headers['x-key']});
    });
    const traces: TraceEntry[] = [];
    const login = {url: '/login', body: {kind: 'json', value: {user: 'u'}}} as const;
    const auth = {kind: 'session', login, tokenPath: 'data.key', send: {header: 'X-Key'}} as const;
    const told = {trace: (entry: TraceEntry): number => traces.push(entry)};
    await clientOf({baseUrl: origin, auth}, told).json({url: '/a'}, contextOf());
    expect(traces.map(({request}) => new URL(request.url).pathname)).toEqual(['/login', '/a']);
    expect(JSON.stringify(traces)).not.toContain('sess-abcdef');
    // What failed is told as well.
    const wrong = clientOf({baseUrl: origin, auth: {...auth, tokenPath: 'nothing'}}, told);
    await expect(wrong.json({url: '/a'}, contextOf())).rejects.toMatchObject({code: 'AUTH_FAILED'});
    expect(traces).toHaveLength(3);
  });

  it("fetch a token the connector's own way, with one place for all requests", async () => {
    const seen: unknown[] = [];
    const origin = await serve((request, response) => {
      seen.push(`${request.url} ${request.headers.authorization}`);
      answer(response, 200, {token: 'installation-token'});
    });
    const api = clientOf({
      baseUrl: origin,
      maxConcurrency: 1,
      auth: {
        kind: 'custom',
        send: {header: 'authorization', prefix: 'token '},
        async fetchToken(client, ctx) {
          await client.json({url: '/app', headers: {authorization: 'Bearer jwt'}}, ctx);
          return {token: 'installation-token', expiresAtMs: systemClock.nowMs() + 3_600_000};
        },
      },
    });
    await Promise.all([api.json({url: '/a'}, contextOf()), api.json({url: '/b'}, contextOf())]);
    expect(seen.toSorted()).toEqual(['/a token installation-token', '/app Bearer jwt', '/b token installation-token']);
  });

  it('uses a token whose end has passed by this clock until it is refused, instead of asking for ever', async () => {
    let fetched = 0;
    const origin = await serve((_, response) => {
      answer(response, 200, {});
    });
    const api = clientOf({
      baseUrl: origin,
      auth: {
        kind: 'custom',
        send: {header: 'authorization', prefix: 'token '},
        fetchToken() {
          if (++fetched > 5) return Promise.reject(new Error('asked for ever'));
          return Promise.resolve({token: 'installation-token', expiresAtMs: systemClock.nowMs() - 60_000});
        },
      },
    });
    await api.json({url: '/a'}, contextOf());
    await api.json({url: '/b'}, contextOf());
    expect(fetched).toBe(1);
  });
});

describe('Basic credentials', () => {
  it('show no key that stands in place of the user', async () => {
    const origin = await serve((_, response) => {
      answer(response, 400, {message: 'the key live-key-1 may not'});
    });
    const keyed = clientOf({baseUrl: origin, auth: {kind: 'basic', username: 'live-key-1', password: ''}});
    await expect(keyed.json({url: '/'}, contextOf())).rejects.toThrow(/the key \*\*\* may not/);
    const named = clientOf({baseUrl: origin, auth: {kind: 'basic', username: 'live-key-1', password: 'sesame'}});
    await expect(named.json({url: '/'}, contextOf())).rejects.toThrow(/the key live-key-1 may not/);
  });
});

describe('OAuth 1.0a', () => {
  it("makes the base string of the specification's example", () => {
    // The example of RFC 5849, section 3.4.1.1.
    const url = new URL('http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b');
    const base = signatureBaseString('post', url, [
      ['oauth_consumer_key', '9djdj82h48djs9d2'],
      ['oauth_token', 'kkk9d7dh3k39sjv7'],
      ['oauth_signature_method', 'HMAC-SHA1'],
      ['oauth_timestamp', '137131201'],
      ['oauth_nonce', '7d8f3e4a'],
      ['c2', ''],
      ['a3', '2 q'],
    ]);
    expect(base).toBe(
      'POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7',
    );
  });

  it('encodes every text so that it can be read back and holds only unreserved characters', () => {
    fc.assert(
      fc.property(fc.string({unit: 'grapheme'}), (text) => {
        const encoded = percentEncode(text);
        expect(encoded).toMatch(/^(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*$/);
        expect(decodeURIComponent(encoded)).toBe(text);
      }),
    );
  });

  it('orders parameters whatever the order they come in', () => {
    const pair = fc.tuple(fc.string({minLength: 1}), fc.string());
    fc.assert(
      fc.property(fc.array(pair), fc.integer(), (pairs, seed) => {
        const url = new URL('https://example.com/x');
        const shuffled = pairs.toSorted(
          (left, right) => ((left[0].length * seed) % 7) - ((right[0].length * seed) % 7),
        );
        expect(signatureBaseString('GET', url, shuffled)).toBe(signatureBaseString('GET', url, pairs));
      }),
    );
  });

  it('signs query and form', async () => {
    const spec = {
      kind: 'oauth1',
      consumerKey: 'ck',
      consumerSecret: 'consumer-secret',
      token: 'tk',
      tokenSecret: 'token-secret',
      realm: '123_SB1',
    } as const;
    let isRight = false;
    const origin = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        const header = Object.fromEntries(
          [...(request.headers.authorization ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [
            name,
            decodeURIComponent(value),
          ]),
        );
        const {oauth_signature: signature, realm, ...protocol} = header;
        const parameters = [...Object.entries(protocol), ...new URLSearchParams(body)];
        const base = signatureBaseString('PUT', new URL(`${origin}${request.url}`), parameters);
        isRight =
          realm === '123_SB1' &&
          signature === createHmac('sha256', 'consumer-secret&token-secret').update(base).digest('base64');
        answer(response, 200, {});
      });
    });
    const body = {kind: 'form', fields: {f: "it's (1) a+b"}} as const;
    await clientOf({baseUrl: origin, auth: spec}).json(
      {url: '/x', method: 'PUT', query: {q: "a b*'"}, body},
      contextOf(),
    );
    expect(isRight).toBe(true);
    const sha1 = oauth1Header(
      {...spec, signature: 'HMAC-SHA1'},
      {method: 'GET', url: new URL(`${origin}/`), form: undefined},
      {nonce: 'n', timestampSeconds: 1},
    );
    expect(sha1).toContain('oauth_signature_method="HMAC-SHA1"');
  });
});
