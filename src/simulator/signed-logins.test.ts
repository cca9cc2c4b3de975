import {createHmac, generateKeyPairSync, sign} from 'node:crypto';

import {SignJWT} from 'jose';
import {describe, expect, it} from 'vitest';

import {verifyJwt} from './jwt.ts';
import type {SimulatorSpec} from './simulator-spec.ts';
import {simulate} from './simulator.ts';

const NOW_SECONDS = Date.UTC(2025, 0, 1) / 1000;
const list = {path: '/things', list: 'things'} as const;
const bare: SimulatorSpec = {name: 'signed', collections: {things: {key: 'id', rows: [{id: 1}]}}, endpoints: [list]};

describe('OAuth 1.0a', () => {
  const auth = {
    kind: 'oauth1',
    consumerKey: 'ck',
    consumerSecret: 'cs',
    token: 'tk',
    tokenSecret: 'ts',
    realm: '123',
  } as const;

  /** Signs by hand, so that the check is not compared with itself. */
  function header(url: string, change: {nonce?: string; secret?: string; time?: number} = {}): string {
    const params: Record<string, string> = {
      oauth_consumer_key: 'ck',
      oauth_nonce: change.nonce ?? 'n1',
      oauth_signature_method: 'HMAC-SHA256',
      oauth_timestamp: String(change.time ?? NOW_SECONDS),
      oauth_token: 'tk',
      oauth_version: '1.0',
    };
    const base = `GET&${encodeURIComponent(url)}&${encodeURIComponent(`a%20b=c%2Fd&${new URLSearchParams(params).toString()}`)}`;
    const signature = createHmac('sha256', `${change.secret ?? 'cs'}&ts`)
      .update(base)
      .digest('base64');
    const all = {realm: '123', ...params, oauth_signature: signature};
    return `OAuth ${Object.entries(all)
      .map(([name, value]) => `${name}="${encodeURIComponent(value)}"`)
      .join(', ')}`;
  }

  it('takes a right signature once', async () => {
    await using simulator = await simulate({...bare, auth});
    const url = `${simulator.url}/things`;
    const ask = async (authorization: string): Promise<number> =>
      (await fetch(`${url}?a%20b=c%2Fd`, {headers: {authorization}})).status;
    expect(await ask(header(url))).toBe(200);
    expect(await ask(header(url))).toBe(401);
    expect(await ask(header(url, {nonce: 'n2'}))).toBe(200);
    expect(await ask(header(url, {nonce: 'n3', secret: 'other'}))).toBe(401);
    expect(await ask(header(url, {nonce: 'n4', time: NOW_SECONDS - 301}))).toBe(401);
    expect((await fetch(url, {headers: {authorization: header(url, {nonce: 'n5'})}})).status).toBe(401);
  });
});

describe('a signed assertion', () => {
  const {publicKey, privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
  const key = publicKey.export({type: 'spki', format: 'pem'}).toString();
  const assertion = (change: {exp?: number; aud?: string; issuer?: string} = {}): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({alg: 'RS256'})
      .setIssuer(change.issuer ?? 'app')
      .setAudience(change.aud ?? 'vendor')
      .setIssuedAt(NOW_SECONDS)
      .setExpirationTime(change.exp ?? NOW_SECONDS + 600)
      .sign(privateKey);

  it('gives a token when its signature, audience and times are right', async () => {
    await using simulator = await simulate({
      ...bare,
      auth: {
        kind: 'oauth2',
        tokenPath: '/token',
        grants: ['jwt_bearer'],
        clients: [],
        jwt: {key, issuer: 'app', audience: 'vendor'},
      },
    });
    const exchange = async (jwt: string): Promise<{access_token?: string; error?: string}> => {
      const body = new URLSearchParams({grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: jwt});
      return (await (await fetch(`${simulator.url}/token`, {method: 'POST', body})).json()) as {access_token?: string};
    };
    const {access_token: token} = await exchange(await assertion());
    const headers = {authorization: `Bearer ${token}`};
    expect((await fetch(`${simulator.url}/things`, {headers})).status).toBe(200);
    const wrong = [
      await assertion({aud: 'other'}),
      await assertion({issuer: 'other'}),
      await assertion({exp: NOW_SECONDS - 1}),
      await assertion({exp: NOW_SECONDS + 100_000}),
      (await assertion()).replace(/\.[^.]{6}/, '.eyJhIj'),
      'no.jwt',
    ];
    for (const jwt of wrong) expect(await exchange(jwt)).toMatchObject({error: 'invalid_grant'});
  });

  it('may be signed with ES256, PS256 and HS256, and not with none', async () => {
    const elliptic = generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
    const pem = elliptic.publicKey.export({type: 'spki', format: 'pem'}).toString();
    const nowMs = NOW_SECONDS * 1000;
    const jwt = (alg: string): SignJWT =>
      new SignJWT({})
        .setProtectedHeader({alg})
        .setIssuedAt(NOW_SECONDS)
        .setExpirationTime(NOW_SECONDS + 60);
    expect(verifyJwt(await jwt('ES256').sign(elliptic.privateKey), {key: pem}, nowMs)).toHaveProperty('claims');
    expect(verifyJwt(await jwt('PS256').sign(privateKey), {key}, nowMs)).toHaveProperty('claims');
    const secret = 's'.repeat(32);
    const shared = await jwt('HS256').sign(Buffer.from(secret));
    expect(verifyJwt(shared, {key: secret, algorithms: ['HS256']}, nowMs)).toHaveProperty('claims');
    // A public key must never serve as a shared secret.
    expect(verifyJwt(shared, {key: secret}, nowMs)).toEqual({problem: 'The algorithm is not allowed.'});
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = `${part({alg: 'none'})}.${part({iat: NOW_SECONDS, exp: NOW_SECONDS + 60})}`;
    expect(verifyJwt(`${unsigned}.`, {key}, nowMs)).toHaveProperty('problem');
    const other = sign('sha256', Buffer.from(unsigned), privateKey).toString('base64url');
    expect(verifyJwt(`${unsigned}.${other}`, {key}, nowMs)).toHaveProperty('problem');
  });
});
