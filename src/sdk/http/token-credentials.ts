import {IngestError} from '../../core/errors.ts';
import {ExactNumber} from '../../core/json-value.ts';
import {valuesAt} from '../json-path.ts';
import type {CustomAuth, SessionSpec} from './auth.ts';
import {type Credentials, type CredentialsContext, putToken, type SendToken} from './credentials.ts';
import type {HttpContext} from './http-client.ts';
import {type Token, tokenCell} from './token-cell.ts';

/** Credentials that are fetched: kept for all, renewed in time and when they are refused. */
export function tokenCredentials(
  context: CredentialsContext,
  send: SendToken,
  fetchToken: (ctx: HttpContext) => Promise<Token>,
): Credentials {
  const cell = tokenCell(context.create.clock, context.lifetime, async (ctx) => {
    try {
      const token = await fetchToken(ctx);
      context.redactor.add(token.value);
      return token;
    } finally {
      context.releaseTrace();
    }
  });
  return {
    prepare: (ctx) => cell.ensure(ctx),
    isReady: () => cell.current() !== null,
    apply(request) {
      const current = cell.current();
      if (current === null) throw new IngestError('CONTRACT_VIOLATION', 'A request was sent before there was a token.');
      putToken(request, current.token.value, send);
      return current.version;
    },
    async renew(version, ctx) {
      await cell.replace(version, ctx);
      return true;
    },
  };
}

/** A login call, its token read from the answer. */
export function sessionCredentials(spec: SessionSpec, context: CredentialsContext): Credentials {
  const {client, create} = context;
  return tokenCredentials(context, spec.send, async (ctx) => {
    const login = {isIdempotent: true, about: 'login', ...spec.login, method: spec.login.method ?? 'POST'};
    const sentAtMs = create.clock.nowMs();
    const {body} = await client.json(login, ctx);
    const [value] = valuesAt(body, spec.tokenPath);
    const text = value instanceof ExactNumber || typeof value === 'object' ? '' : String(value ?? '');
    if (text === '')
      throw new IngestError('AUTH_FAILED', `The answer to the login has no token at "${spec.tokenPath}".`, {
        fix: `Check user and password of the connection "${create.connectionName}".`,
      });
    const {lifetimeSeconds} = spec;
    return {value: text, expiresAtMs: lifetimeSeconds === undefined ? undefined : sentAtMs + lifetimeSeconds * 1000};
  });
}

/** A token that the connector fetches its own way. */
export function customCredentials(spec: CustomAuth, context: CredentialsContext): Credentials {
  return tokenCredentials(context, spec.send, async (ctx) => {
    const {token, expiresAtMs} = await spec.fetchToken(context.client, ctx);
    return {value: token, expiresAtMs};
  });
}
