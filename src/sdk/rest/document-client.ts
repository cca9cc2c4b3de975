import type {OptionValue, TableOptions} from '../contract.ts';
import type {AuthMethod, OAuthEndpoints, OptionSpec, OptionSpecs} from '../define-connector.ts';
import type {AuthSpec} from '../http/auth.ts';
import type {HttpClientOptions, LearnedRate, RateBudget} from '../http/http-options.ts';
import {defined, errorRule, path, requestShape, UNITS} from './document-request.ts';
import {
  count,
  either,
  flag,
  list,
  map,
  number,
  object,
  optional,
  record,
  scalar,
  text,
  variants,
  word,
  type Shape,
} from './document-shape.ts';
import {textTemplate, type Template, type TemplateNames, type TemplateValues} from './template.ts';

/** Options of the client of a connection, made from its options. */
export type ClientMaker = (config: TableOptions) => HttpClientOptions;

const optionValue: Shape<OptionValue> = either<OptionValue>(
  (value) => (Array.isArray(value) ? 2 : typeof value === 'boolean' ? 1 : 0),
  scalar,
  flag,
  list(text),
);

const option: Shape<OptionSpec> = map(
  object({
    type: word(['string', 'integer', 'number', 'boolean', 'string[]']),
    description: text,
    required: optional(flag),
    default: optional(optionValue),
    min: optional(number),
    max: optional(number),
    enum: optional(list(text)),
    secret: optional(flag),
  }),
  (given): OptionSpec => given,
);

/** Declarations of options. */
export const optionsShape: Shape<OptionSpecs> = record(option);

/** A way to log in, and how its options become credentials where the client does not say it for all ways. */
export interface DocumentAuthMethod extends AuthMethod {
  readonly auth?: AuthMaker;
}

/** Ways to log in. */
export function authMethodsShape(names: TemplateNames): Shape<Readonly<Record<string, DocumentAuthMethod>>> {
  const own: TemplateNames = {...names, roots: ['config']};
  return record(
    map(
      object({description: text, options: optionsShape, auth: optional(authShape(own))}),
      ({description, options, auth}): DocumentAuthMethod => ({description, options, ...defined({auth})}),
    ),
  );
}

/** The credentials of the way to log in whose options are given; undefined where no way says any. */
export function methodAuth(
  methods: Readonly<Record<string, DocumentAuthMethod>>,
  config: TableOptions,
): AuthSpec | undefined {
  const given = (method: DocumentAuthMethod): number =>
    Object.keys(method.options).filter((name) => config[name] !== undefined).length;
  const [method] = Object.values(methods)
    .filter(({options}) =>
      Object.keys(options).every((name) => options[name]?.required !== true || config[name] !== undefined),
    )
    .toSorted((left, right) => given(right) - given(left));
  return method?.auth?.({config: config as TemplateValues['config']});
}

/** The browser's way to a token. */
export const oauthShape: Shape<OAuthEndpoints> = map(
  object({
    authorization_url: text,
    token_url: text,
    scopes: optional(text),
    pkce: optional(flag),
    extra_params: optional(record(text)),
    token_params: optional(record(text)),
    json_body: optional(flag),
    client_auth: optional(word(['basic', 'body'])),
    token_option: optional(text),
  }),
  ({authorization_url: authorizationUrl, token_url: tokenUrl, scopes, pkce, ...given}): OAuthEndpoints => ({
    authorizationUrl,
    tokenUrl,
    ...defined({
      scopes,
      pkce,
      extraParams: given.extra_params,
      tokenParams: given.token_params,
      jsonBody: given.json_body,
      clientAuth: given.client_auth,
      tokenOption: given.token_option,
    }),
  }),
);

type AuthMaker = (values: TemplateValues) => AuthSpec;

/** Logins of documents. */
function authShape(names: TemplateNames): Shape<AuthMaker> {
  const template: Shape<Template<string>> = map(text, (value, place) => textTemplate(value, names, place));
  const request = requestShape(names);
  const send = object({header: optional(text), prefix: optional(text), cookie: optional(text)});
  return variants<AuthMaker>('kind', {
    none: map(object({}), (): AuthMaker => () => ({kind: 'none'})),
    api_key: map(
      object({in: word(['header', 'query', 'cookie']), name: text, value: template}),
      ({in: where, name, value}): AuthMaker =>
        (values) => ({kind: 'apiKey', in: where, name, value: value(values)}),
    ),
    basic: map(object({username: template, password: template}), ({username, password}): AuthMaker => (values) => ({
      kind: 'basic',
      username: username(values),
      password: password(values),
    })),
    bearer: map(object({token: template, scheme: optional(text)}), ({token, scheme}): AuthMaker => (values) => ({
      kind: 'bearer',
      token: token(values),
      ...defined({scheme}),
    })),
    oauth2: oauth2Shape(template),
    oauth1: map(
      object({
        consumer_key: template,
        consumer_secret: template,
        token: template,
        token_secret: template,
        realm: optional(template),
        signature: optional(word(['HMAC-SHA1', 'HMAC-SHA256'])),
      }),
      ({consumer_key: key, consumer_secret: secret, token, token_secret: tokenSecret, realm, signature}): AuthMaker =>
        (values) => ({
          kind: 'oauth1',
          consumerKey: key(values),
          consumerSecret: secret(values),
          token: token(values),
          tokenSecret: tokenSecret(values),
          ...defined({realm: realm?.(values), signature}),
        }),
    ),
    session: map(
      object({login: request, token_path: path, send, lifetime_seconds: optional(count)}),
      ({login, token_path: tokenPath, send: where, lifetime_seconds: lifetimeSeconds}): AuthMaker =>
        (values) => ({
          kind: 'session',
          login: login(values),
          tokenPath,
          send:
            where.cookie === undefined
              ? {header: where.header ?? 'Authorization', ...defined({prefix: where.prefix})}
              : {cookie: where.cookie},
          ...defined({lifetimeSeconds}),
        }),
    ),
  });
}

function oauth2Shape(template: Shape<Template<string>>): Shape<AuthMaker> {
  const shape = object({
    token_url: template,
    grant: word(['refresh_token', 'client_credentials', 'password', 'jwt_bearer']),
    client_id: optional(template),
    client_secret: optional(template),
    client_auth: optional(word(['basic', 'body', 'private_key_jwt', 'none'])),
    refresh_token: optional(template),
    username: optional(template),
    password: optional(template),
    scope: optional(text),
    extra_params: optional(record(text)),
    json_body: optional(flag),
    default_lifetime_seconds: optional(count),
    jwt: optional(
      object({
        private_key: template,
        algorithm: word(['RS256', 'PS256', 'ES256']),
        issuer: optional(template),
        subject: optional(template),
        audience: optional(template),
        key_id: optional(template),
        claims: optional(record(template)),
      }),
    ),
  });
  return map(shape, (given): AuthMaker => (values) => {
    const made = (one: Template<string> | undefined): string | undefined => one?.(values);
    const {jwt} = given;
    return {
      kind: 'oauth2',
      tokenUrl: given.token_url(values),
      grant: given.grant,
      ...defined({
        clientId: made(given.client_id),
        clientSecret: made(given.client_secret),
        clientAuth: given.client_auth,
        refreshToken: made(given.refresh_token),
        username: made(given.username),
        password: made(given.password),
        scope: given.scope,
        extraParams: given.extra_params,
        jsonBody: given.json_body,
        defaultLifetimeSeconds: given.default_lifetime_seconds,
      }),
      ...(jwt === undefined
        ? {}
        : {
            jwt: {
              privateKey: jwt.private_key(values),
              algorithm: jwt.algorithm,
              ...defined({
                issuer: made(jwt.issuer),
                subject: made(jwt.subject),
                audience: made(jwt.audience),
                keyId: made(jwt.key_id),
                claims:
                  jwt.claims === undefined
                    ? undefined
                    : Object.fromEntries(Object.entries(jwt.claims).map(([name, one]) => [name, one(values)])),
              }),
            },
          }),
    };
  });
}

const budget: Shape<RateBudget> = map(
  object({requests: count, per_seconds: number}),
  ({requests, per_seconds: perSeconds}): RateBudget => ({requests, perSeconds}),
);

const learned: Shape<LearnedRate> = map(
  object({
    remaining: text,
    reset: text,
    unit: word(['seconds', 'milliseconds', 'epoch_seconds', 'epoch_milliseconds', 'http_date']),
    limit: optional(text),
    reserve: optional(count),
  }),
  ({remaining, reset, unit, limit, reserve}): LearnedRate => ({
    remaining,
    reset,
    unit: UNITS[unit],
    ...defined({limit, reserve}),
  }),
);

/** The client of a connection. Only the connection's options are known there. */
export function clientShape(names: TemplateNames): Shape<ClientMaker> {
  const own: TemplateNames = {...names, roots: ['config']};
  const template: Shape<Template<string>> = map(text, (value, place) => textTemplate(value, own, place));
  const shape = object({
    base_url: template,
    auth: optional(authShape(own)),
    headers: optional(record(template)),
    requests_per_second: optional(number),
    budgets: optional(list(budget)),
    learn_from: optional(list(learned)),
    max_concurrency: optional(count),
    errors: optional(list(errorRule)),
    allowed_origins: optional(list(template)),
    timeouts: optional(
      object({
        connect_seconds: optional(number),
        headers_seconds: optional(number),
        body_idle_seconds: optional(number),
      }),
    ),
    retry_attempts: optional(count),
    user_agent: optional(text),
  });
  return map(shape, (given): ClientMaker => (config) => {
    const values = {config: config as TemplateValues['config']};
    const {timeouts, requests_per_second: requestsPerSecond, budgets, learn_from: learnFrom} = given;
    const ms = (seconds: number | undefined): number | undefined =>
      seconds === undefined ? undefined : seconds * 1000;
    return {
      baseUrl: given.base_url(values),
      rate: defined({requestsPerSecond, budgets, learnFrom}),
      ...(given.auth === undefined ? {} : {auth: given.auth(values)}),
      ...(given.headers === undefined
        ? {}
        : {headers: Object.fromEntries(Object.entries(given.headers).map(([name, one]) => [name, one(values)]))}),
      ...(given.allowed_origins === undefined ? {} : {allowedOrigins: given.allowed_origins.map((one) => one(values))}),
      ...(given.retry_attempts === undefined ? {} : {retries: {attempts: given.retry_attempts}}),
      ...(timeouts === undefined
        ? {}
        : {
            timeouts: defined({
              connectMs: ms(timeouts.connect_seconds),
              headersMs: ms(timeouts.headers_seconds),
              bodyIdleMs: ms(timeouts.body_idle_seconds),
            }),
          }),
      ...defined({maxConcurrency: given.max_concurrency, errors: given.errors, userAgent: given.user_agent}),
    };
  });
}
