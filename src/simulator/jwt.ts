import {constants, createHmac, timingSafeEqual, verify} from 'node:crypto';

import {parseJson} from '../core/json-reader.ts';
import type {JsonObject} from '../core/json-value.ts';
import type {JwtRules} from './auth-spec.ts';
import {isObject} from './row-values.ts';

/** The claims of a JWT whose signature and times hold, or what is wrong with it. */
export type JwtOutcome = {readonly claims: JsonObject} | {readonly problem: string};

/** Checks signature, issuer, audience, `iat` and `exp` of a JWT as a token endpoint does; a minute of skew is allowed. */
export function verifyJwt(token: string, rules: JwtRules, nowMs: number): JwtOutcome {
  const [head, payload, signature, ...more] = token.split('.');
  if (head === undefined || payload === undefined || signature === undefined || more.length > 0)
    return {problem: 'The assertion is no JWT.'};
  const header = decoded(head);
  const claims = decoded(payload);
  if (header === null || claims === null) return {problem: 'The assertion is no JWT.'};
  const algorithm = String(header['alg']);
  const allowed: readonly string[] = rules.algorithms ?? ['RS256', 'PS256', 'ES256'];
  if (!allowed.includes(algorithm)) return {problem: 'The algorithm is not allowed.'};
  if (!isSignedBy(algorithm, `${head}.${payload}`, Buffer.from(signature, 'base64url'), rules.key))
    return {problem: 'The signature is wrong.'};
  const problem = claimProblem(claims, rules, nowMs / 1000);
  return problem === null ? {claims} : {problem};
}

function isSignedBy(algorithm: string, data: string, signature: Buffer, key: string): boolean {
  const bytes = Buffer.from(data);
  switch (algorithm) {
    case 'RS256':
      return verify('sha256', bytes, key, signature);
    case 'PS256': {
      const padding = {padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST};
      return verify('sha256', bytes, {key, ...padding}, signature);
    }
    case 'ES256':
      return verify('sha256', bytes, {key, dsaEncoding: 'ieee-p1363'}, signature);
    default: {
      const expected = createHmac('sha256', key).update(bytes).digest();
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    }
  }
}

const SKEW_SECONDS = 60;

function claimProblem(claims: JsonObject, rules: JwtRules, nowSeconds: number): string | null {
  const issued = Number(claims['iat']);
  const expires = Number(claims['exp']);
  const audience = claims['aud'];
  const audiences = Array.isArray(audience) ? audience.map(String) : [String(audience)];
  if (rules.issuer !== undefined && claims['iss'] !== rules.issuer) return 'The issuer is not known.';
  if (rules.audience !== undefined && !audiences.includes(rules.audience)) return 'The audience is wrong.';
  if (!(expires > nowSeconds)) return 'The assertion has expired.';
  if (!(issued <= nowSeconds + SKEW_SECONDS)) return 'The assertion is from the future.';
  return expires - issued <= (rules.maxLifetimeSeconds ?? 3600) + SKEW_SECONDS ? null : 'The assertion lives too long.';
}

function decoded(part: string): JsonObject | null {
  try {
    const value = parseJson(Buffer.from(part, 'base64url').toString());
    return isObject(value) ? value : null;
  } catch {
    // Not JSON: the caller says that it is no JWT.
    return null;
  }
}
