import {createPrivateKey} from 'node:crypto';

import {SignJWT} from 'jose';

import {IngestError, type CustomAuth, type JsonValue} from '../../sdk/index.ts';

/** GitHub takes at most ten minutes; the start lies in the past so that clocks may differ. */
const JWT_SECONDS = 540;
const JWT_SKEW_SECONDS = 60;

/**
 * Logs in as the installation of a GitHub App: a JWT signed with the App's key is exchanged for a token of one hour.
 * @see https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-an-installation-access-token-for-a-github-app
 */
export function appAuth(option: (name: string) => string): CustomAuth {
  return {
    kind: 'custom',
    send: {header: 'authorization', prefix: 'Bearer '},
    async fetchToken(client, ctx) {
      const jwt = await signedToken(option, ctx.clock.nowMs());
      const {body} = await client.json(
        {
          method: 'POST',
          url: `/app/installations/${encodeURIComponent(option('installation_id'))}/access_tokens`,
          headers: {authorization: `Bearer ${jwt}`},
          anonymous: true,
          isIdempotent: true,
          about: 'installation token',
          errors: [{when: {status: [401, 403, 404]}, then: 'fail', code: 'AUTH_FAILED', fix: KEY_FIX}],
        },
        ctx,
      );
      const token = textAt(body, 'token');
      if (token === null)
        throw new IngestError('AUTH_FAILED', 'GitHub answered without an installation token.', {fix: KEY_FIX});
      const expiresAtMs = Date.parse(textAt(body, 'expires_at') ?? '');
      return Number.isNaN(expiresAtMs) ? {token} : {token, expiresAtMs};
    },
  };
}

const KEY_FIX = "Check app_id, installation_id and private_key: the key is the whole PEM file of the App's settings.";

async function signedToken(option: (name: string) => string, nowMs: number): Promise<string> {
  const now = Math.floor(nowMs / 1000);
  return new SignJWT({})
    .setProtectedHeader({alg: 'RS256', typ: 'JWT'})
    .setIssuer(option('app_id'))
    .setIssuedAt(now - JWT_SKEW_SECONDS)
    .setExpirationTime(now + JWT_SECONDS)
    .sign(privateKey(option('private_key')));
}

/** GitHub hands out PKCS#1; PKCS#8 is taken too. In environment variables line ends are often written as `\n`. */
function privateKey(pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem.replaceAll('\\n', '\n'));
  } catch (cause) {
    throw new IngestError('AUTH_FAILED', "The App's private_key is no private key in PEM form.", {fix: KEY_FIX, cause});
  }
}

function textAt(body: JsonValue, field: string): string | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || !(field in body)) return null;
  const value = Object.entries(body).find(([name]) => name === field)?.[1];
  return typeof value === 'string' ? value : null;
}
