import {createHash} from 'node:crypto';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {createServer, type IncomingMessage} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import type {OAuthEndpoints} from '../../sdk/define-connector.ts';
import {findStored, openStored, saveConnection, saveLogin, type StorePlace} from './connection-store.ts';
import {filledUrl} from './login-urls.ts';
import {loginInBrowser, type LoginOptions} from './login.ts';

/** An authorization server of one user who always agrees. */
interface Vendor extends AsyncDisposable {
  readonly url: string;
  readonly tokenRequests: URLSearchParams[];
  readonly authorizations: (string | undefined)[];
}

async function startVendor(answer: (request: URLSearchParams) => {status?: number; body: object}): Promise<Vendor> {
  const tokenRequests: URLSearchParams[] = [];
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const parameters = new URLSearchParams(body);
      tokenRequests.push(parameters);
      authorizations.push(request.headers.authorization);
      const {status = 200, body: json} = answer(parameters);
      response.writeHead(status, {'content-type': 'application/json'}).end(JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    tokenRequests,
    authorizations,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

const connection = (options: Record<string, string>) => ({name: 'crm', connector: 'crm', options});
const endpointsOf = (vendor: Vendor, more: Partial<OAuthEndpoints> = {}): OAuthEndpoints => ({
  authorizationUrl: `${vendor.url}/authorize`,
  tokenUrl: `${vendor.url}/token`,
  scopes: 'read write',
  ...more,
});

/** Logs in as a browser would: `visit` gets the address that the vendor was asked at. */
async function login(
  vendor: Vendor,
  visit: (asked: URL) => Promise<unknown>,
  more: {readonly endpoints?: Partial<OAuthEndpoints>; readonly options?: Partial<LoginOptions>} = {},
): Promise<{readonly result: unknown; readonly visited: unknown}> {
  let visited: Promise<unknown> = Promise.resolve();
  const result = await loginInBrowser(
    connection({client_id: 'id', client_secret: 'client-hush'}),
    endpointsOf(vendor, more.endpoints),
    {
      signal: new AbortController().signal,
      onUrl: (url) => {
        visited = visit(new URL(url));
      },
      ...more.options,
    },
  ).catch((error: unknown) => error);
  return {result, visited: await visited};
}

const back = (asked: URL, parameters: Record<string, string>): Promise<Response> => {
  const url = new URL(asked.searchParams.get('redirect_uri') ?? '');
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return fetch(url);
};
const stateOf = (asked: URL): string => asked.searchParams.get('state') ?? '';

describe('a login in the browser', () => {
  it('exchanges the code with the verifier of its challenge, and takes the refresh token', async () => {
    await using vendor = await startVendor(() => ({
      body: {access_token: 'a', refresh_token: 'r', expires_in: 60, scope: 'read'},
    }));
    let challenge = '';
    const {result, visited} = await login(vendor, (asked) => {
      challenge = asked.searchParams.get('code_challenge') ?? '';
      expect(Object.fromEntries(asked.searchParams)).toMatchObject({
        response_type: 'code',
        client_id: 'id',
        scope: 'read write',
        code_challenge_method: 'S256',
        redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/callback$/) as string,
      });
      return back(asked, {state: stateOf(asked), code: 'c0de', iss: 'https://elsewhere'});
    });
    expect(result).toEqual({option: 'refresh_token', kind: 'refresh token', value: 'r', scopes: 'read'});
    expect((visited as Response).status).toBe(200);
    const [request] = vendor.tokenRequests;
    expect(Object.fromEntries(request ?? [])).toMatchObject({
      grant_type: 'authorization_code',
      code: 'c0de',
      client_id: 'id',
      client_secret: 'client-hush',
    });
    const verifier = request?.get('code_verifier') ?? '';
    expect(createHash('sha256').update(verifier).digest('base64url')).toBe(challenge);
  });

  it('takes the access token where there is no refresh token, into the option that the spec names', async () => {
    await using vendor = await startVendor(() => ({body: {access_token: 'a', token_type: 'bearer'}}));
    const {result} = await login(vendor, (asked) => back(asked, {state: stateOf(asked), code: 'c'}), {
      endpoints: {tokenOption: 'token', pkce: false, extraParams: {audience: 'x', state: 'theirs'}},
    });
    expect(result).toEqual({option: 'token', kind: 'access token', value: 'a', scopes: null});
    expect(vendor.tokenRequests[0]?.has('code_verifier')).toBe(false);
  });

  it('asks for the scopes that the caller names instead', async () => {
    await using vendor = await startVendor(() => ({body: {access_token: 'a', refresh_token: 'r'}}));
    let asked: string | null = null;
    const visit = (url: URL): Promise<unknown> => {
      asked = url.searchParams.get('scope');
      return back(url, {state: stateOf(url), code: 'c'});
    };
    await login(vendor, visit, {options: {scopes: 'read tickets'}});
    expect(asked).toBe('read tickets');
  });

  it('keeps no access token as a refresh token: every run would be refused', async () => {
    await using vendor = await startVendor(() => ({body: {access_token: 'short-lived', error: null}}));
    const {result} = await login(vendor, (asked) => back(asked, {state: stateOf(asked), code: 'c'}));
    expect(result).toMatchObject({
      code: 'AUTH_FAILED',
      message: expect.stringContaining('the source gave no refresh token') as string,
    });
    expect(String(result)).not.toContain('short-lived');
  });

  it('sends JSON and further parameters where the source wants them', async () => {
    await using vendor = await startVendor((request) => {
      const body = JSON.parse([...request.keys()][0] ?? '') as Record<string, string>;
      return {body: {refresh_token: `${body['grant_type']} ${body['scope']} ${body['code']}`}};
    });
    const {result} = await login(vendor, (asked) => back(asked, {state: stateOf(asked), code: 'c'}), {
      endpoints: {jsonBody: true, tokenParams: {scope: 'read'}},
    });
    expect(result).toMatchObject({value: 'authorization_code read c'});
  });

  it('shows the client by HTTP Basic where the source wants that, and its secret nowhere else', async () => {
    await using vendor = await startVendor(() => ({body: {refresh_token: 'r'}}));
    await login(vendor, (asked) => back(asked, {state: stateOf(asked), code: 'c'}), {endpoints: {clientAuth: 'basic'}});
    expect(vendor.authorizations).toEqual([`Basic ${Buffer.from('id:client-hush').toString('base64')}`]);
    expect(vendor.tokenRequests[0]?.has('client_secret')).toBe(false);
  });

  it('goes on waiting when somebody comes without its state', async () => {
    await using vendor = await startVendor(() => ({body: {refresh_token: 'r'}}));
    const statuses: number[] = [];
    const {result} = await login(vendor, async (asked) => {
      statuses.push((await back(asked, {state: 'wrong', code: 'evil'})).status);
      statuses.push((await back(asked, {code: 'evil'})).status);
      statuses.push((await back(asked, {state: stateOf(asked), code: 'good'})).status);
    });
    expect(result).toMatchObject({value: 'r'});
    expect(statuses).toEqual([404, 404, 200]);
    expect(vendor.tokenRequests.map((request) => request.get('code'))).toEqual(['good']);
  });

  it('says why it was refused, escaped in the page', async () => {
    await using vendor = await startVendor(() => ({body: {}}));
    const {result, visited} = await login(vendor, (asked) =>
      back(asked, {state: stateOf(asked), error: '<script>alert(1)</script>'}),
    );
    expect(result).toMatchObject({code: 'AUTH_FAILED', message: expect.stringContaining('<script>') as string});
    const html = await (visited as Response).text();
    expect(html).not.toContain('<script>');
    expect(html).toContain('&#60;script&#62;');
    expect((visited as Response).headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('fails for an error of the token endpoint, also with status 200, without telling secrets', async () => {
    for (const status of [400, 200]) {
      await using vendor = await startVendor((request) => ({
        status,
        body: {error: 'invalid_grant', error_description: `bad ${request.get('client_secret')} ${request.get('code')}`},
      }));
      const {result} = await login(vendor, (asked) => back(asked, {state: stateOf(asked), code: 'c0de-of-login'}));
      expect(result).toMatchObject({code: 'AUTH_FAILED', message: expect.stringContaining('invalid_grant') as string});
      expect(String(result)).not.toMatch(/client-hush|c0de-of-login/);
    }
  });

  it('ends after its time and when it is stopped', async () => {
    await using vendor = await startVendor(() => ({body: {}}));
    expect((await login(vendor, () => Promise.resolve(), {options: {timeoutMs: 20}})).result).toMatchObject({
      code: 'CANCELLED',
    });
    const reason = new Error('stop');
    const stopped = await login(vendor, () => Promise.resolve(), {options: {signal: AbortSignal.abort(reason)}});
    expect(stopped.result).toBe(reason);
  });

  it('needs a client and addresses that are safe', async () => {
    const look = {signal: new AbortController().signal, onUrl: () => undefined};
    const endpoints = {authorizationUrl: 'https://{site}.example.com/a', tokenUrl: '{base_url}/t'};
    await expect(loginInBrowser(connection({}), endpoints, look)).rejects.toMatchObject({
      context: {option: 'client_id'},
    });
    await expect(loginInBrowser(connection({client_id: 'i'}), endpoints, look)).rejects.toMatchObject({
      context: {option: 'site'},
    });
    const filled = connection({site: 'a/b', base_url: 'https://x.example/'});
    expect(() => filledUrl(endpoints.authorizationUrl, filled)).toThrow(
      expect.objectContaining({code: 'INVALID_OPTION'}),
    );
    expect(filledUrl(endpoints.tokenUrl, filled)).toBe('https://x.example/t');
    for (const url of ['http://example.com/t', 'ftp://x', 'nonsense'])
      expect(() => filledUrl(url, filled)).toThrow(expect.objectContaining({code: 'INVALID_OPTION'}));
  });
});

describe('what a login gave', () => {
  let folder = '';
  let place: StorePlace;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'login-'));
    place = {home: join(folder, '.sluice'), env: {XDG_CONFIG_HOME: join(folder, 'config')}};
  });
  afterEach(() => rm(folder, {recursive: true, force: true}));

  it('never joins the options of another connector', async () => {
    const other = {...connection({api_key: 'hush'}), connector: 'shop'};
    await saveConnection(place, {...other, isSecret: () => true, nowMs: 0}, 'create');
    const login = saveLogin(place, connection({}), {option: 'refresh_token', value: 'r-token', nowMs: 1});
    await expect(login).rejects.toMatchObject({code: 'INVALID_OPTION'});
    expect(findStored(place, 'crm')).toMatchObject({connector: 'shop', login: null});
  });

  it('is sealed beside the other options, which stay as they are', async () => {
    const options = {client_id: '${env.ID}', client_secret: 'hush', refresh_token: '${env.OLD}'};
    await saveConnection(place, {...connection(options), isSecret: (name) => name !== 'client_id', nowMs: 0}, 'create');
    await saveLogin(place, connection({}), {option: 'refresh_token', value: 'r-token', nowMs: 1});
    const stored = findStored(place, 'crm');
    expect(stored).toMatchObject({options: {client_id: '${env.ID}'}, login: {option: 'refresh_token'}});
    const opened = stored === null ? null : openStored({...place, env: {...place.env, ID: 'id'}}, stored).options;
    expect(opened).toEqual({client_id: 'id', client_secret: 'hush', refresh_token: 'r-token'});
    expect(await readFile(join(place.home, 'connections', 'crm.json'), 'utf8')).not.toContain('r-token');
  });
});
