import {z} from 'zod';

import type {SimulatorAuth} from './auth-spec.ts';
import {objectSchema, replySchema} from './document-parts.ts';

const replies = {unauthorized: replySchema.exactOptional(), expired: replySchema.exactOptional()};
const users = z.array(z.strictObject({username: z.string(), password: z.string()}));
const count = z.number().positive();

/** See {@link SimulatorAuth}; `custom` has no form in documents. */
export const authSchema: z.ZodType<SimulatorAuth> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    z.strictObject({kind: z.literal('none')}),
    z.strictObject({
      ...replies,
      kind: z.literal('apiKey'),
      in: z.enum(['header', 'query', 'cookie']),
      name: z.string(),
      keys: z.array(z.string()).min(1),
    }),
    z.strictObject({...replies, kind: z.literal('basic'), users}),
    z.strictObject({
      ...replies,
      kind: z.literal('bearer'),
      tokens: z.array(z.string()).exactOptional(),
      schemes: z.array(z.string()).exactOptional(),
    }),
    oauth2,
    oauth1,
    session,
    z.strictObject({kind: z.literal('any'), of: z.array(authSchema).min(1)}),
  ]),
);

const oauth2 = z.strictObject({
  ...replies,
  kind: z.literal('oauth2'),
  tokenPath: z.string(),
  grants: z.array(z.enum(['client_credentials', 'refresh_token', 'password', 'authorization_code', 'jwt_bearer'])),
  clients: z.array(z.strictObject({id: z.string(), secret: z.string().exactOptional()})),
  clientAuth: z.enum(['basic', 'body', 'either']).exactOptional(),
  users: users.exactOptional(),
  refreshTokens: z.array(z.string()).exactOptional(),
  rotates: z.boolean().exactOptional(),
  lifetimeSeconds: count.exactOptional(),
  maxUses: count.exactOptional(),
  tellsLifetime: z.boolean().exactOptional(),
  authorizePath: z.string().exactOptional(),
  redirectUris: z.array(z.string()).exactOptional(),
  requiresPkce: z.boolean().exactOptional(),
  jwt: z
    .strictObject({
      key: z.string(),
      algorithms: z.array(z.enum(['RS256', 'PS256', 'ES256', 'HS256'])).exactOptional(),
      issuer: z.string().exactOptional(),
      audience: z.string().exactOptional(),
      maxLifetimeSeconds: count.exactOptional(),
    })
    .exactOptional(),
  tokenExtras: objectSchema.exactOptional(),
  schemes: z.array(z.string()).exactOptional(),
});

const oauth1 = z.strictObject({
  ...replies,
  kind: z.literal('oauth1'),
  consumerKey: z.string(),
  consumerSecret: z.string(),
  token: z.string(),
  tokenSecret: z.string(),
  realm: z.string().exactOptional(),
  signatures: z.array(z.enum(['HMAC-SHA1', 'HMAC-SHA256'])).exactOptional(),
});

const session = z.strictObject({
  ...replies,
  kind: z.literal('session'),
  loginPath: z.string(),
  users,
  fields: z.strictObject({username: z.string(), password: z.string()}).exactOptional(),
  tokenPath: z.string().exactOptional(),
  send: z.union([
    z.strictObject({header: z.string(), prefix: z.string().exactOptional()}),
    z.strictObject({cookie: z.string()}),
  ]),
  lifetimeSeconds: count.exactOptional(),
  maxUses: count.exactOptional(),
});
