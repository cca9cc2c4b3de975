import type {Clock, Random} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {ChangeLogSource, LogCodec} from './change-log.ts';
import type {Connector, OptionValue} from './contract.ts';
import type {HttpClient} from './http/http-client.ts';
import {convertOption} from './option-value.ts';

/** One connection or table option: the single place that types, validates, documents and masks it. */
export interface OptionSpec {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'string[]';
  readonly description: string;
  readonly required?: boolean;
  readonly default?: OptionValue;
  /** Smallest and largest number. */
  readonly min?: number;
  readonly max?: number;
  /** The only values allowed. */
  readonly enum?: readonly string[];
  /** Never shown, never logged. */
  readonly secret?: boolean;
}

/** Options by name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** A way to log in: its options beside the connection's common ones. */
export interface AuthMethod {
  readonly description: string;
  readonly options: OptionSpecs;
}

/** OAuth endpoints, for `sluice connections login`: the browser's way to a refresh token. */
export interface OAuthEndpoints {
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  /** Separated by blanks. */
  readonly scopes?: string;
  /** Default true. */
  readonly pkce?: boolean;
  /** Further parameters of the authorization request. */
  readonly extraParams?: Readonly<Record<string, string>>;
  /** Further parameters of the token request. */
  readonly tokenParams?: Readonly<Record<string, string>>;
  /** The token request's body is JSON instead of a form. */
  readonly jsonBody?: boolean;
  /** How the client shows its secret: in the body (default) or by HTTP Basic. */
  readonly clientAuth?: 'basic' | 'body';
  /** The option of the connection that gets the refresh token, or the access token where there is none; default `refresh_token`, which takes no access token. */
  readonly tokenOption?: string;
}

/** What a connector declares once; validation, help, docs and the JSON schema come from it. */
export interface ConnectorSpec {
  readonly displayName: string;
  readonly description: string;
  /** Options of the connection. */
  readonly connection: OptionSpecs;
  /** Ways to log in, if there is more than one; options of exactly one are given. */
  readonly authMethods?: Readonly<Record<string, AuthMethod>>;
  /** Options of a table. */
  readonly table: OptionSpecs;
  /** A parameter in braces is an option of the connection: `https://{subdomain}.example.com/oauth/token`. */
  readonly oauth?: OAuthEndpoints;
}

/** What {@link ConnectorDefinition.create} gets: its own connection's options and nothing else. */
export interface CreateContext {
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly clock: Clock;
  readonly random: Random;
  /** The connection's name, for application names and messages. */
  readonly connectionName: string;
  /** What outlives the process and belongs to the connection: tokens that rotate. Absent where nothing can be kept. */
  readonly secrets?: SecretStore;
  /** Told of every exchange with the source, secrets removed; for `--trace`. */
  readonly trace?: (entry: TraceEntry) => void;
  /** Proxies on the way to the source, as the environment names them. `createHttpClient` goes through them. Absent: there are none. */
  readonly proxies?: ProxyOptions;
}

/** Proxies by the protocol of the address that is asked for. This machine itself is always reached without one. */
export interface ProxyOptions {
  /** URL of the proxy for `http:` addresses. */
  readonly http?: string;
  /** For `https:` addresses; default: that for `http:`. */
  readonly https?: string;
  /** Hosts that are reached without one, joined by commas: names with those below them, also with a port; `*` for all. */
  readonly none?: string;
}

/** Secrets of one connection that change by themselves, kept sealed and replaced atomically. */
export interface SecretStore {
  /** The newest value; null when none was kept. */
  get(name: string): Promise<string | null>;
  /** Replaces a value if it still is `expected` (null: absent), durable when it resolves; false when somebody else was first. */
  replace(name: string, expected: string | null, value: string): Promise<boolean>;
  /**
   * Runs work while nobody else works on the secret, in any process; waits its turn, a turn lasts two minutes at most. For a
   * source that refuses an old token as soon as it gives a new one: between the two nobody may use what is kept.
   */
  exclusively?<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** One exchange over HTTP, as a trace shows it: like an entry of a HAR file, secrets removed. */
export interface TraceEntry {
  readonly startedAtMs: number;
  readonly elapsedMs: number;
  readonly attempt: number;
  readonly about?: string;
  readonly request: {
    readonly method: string;
    readonly url: string;
    readonly headers: readonly (readonly [string, string])[];
    readonly body?: string;
  };
  /** Absent when no answer came. */
  readonly response?: {
    readonly status: number;
    readonly headers: readonly (readonly [string, string])[];
    readonly sizeBytes: number;
    readonly body?: string;
  };
  readonly error?: string;
}

/** A connector as a package exports it. */
export interface ConnectorDefinition {
  /** Lower case, `connection_type` in any case. */
  readonly name: string;
  readonly spec: ConnectorSpec;
  /** Makes an instance without touching the source; connections open at the first call. */
  create(context: CreateContext): Connector;
  /** Opens the HTTP client that its instances read by, so that a proof writes with the login of the connection; the caller closes it. `restConnector` gives it. */
  client?(context: CreateContext): HttpClient;
  /** How the source's change log is read, where it has one. */
  readonly changeLog?: ChangeLogAbility;
}

/** The change log of a connector's sources. */
export interface ChangeLogAbility {
  /** Makes a source without touching it. */
  open(context: CreateContext, settings: ChangeLogSettings): ChangeLogSource;
  /** Types what was staged from it. */
  codec(): Promise<LogCodec>;
}

/** What a gateway tells a source beside the connection's options. */
export interface ChangeLogSettings {
  /** Of the gateway: lower case letters, digits and "_", at most 40. What is made at the source is named by it, so that it can be told apart and removed. */
  readonly gatewayId: string;
  /** A replication slot and a publication that somebody else made and keeps; absent: they are made and removed by the source. */
  readonly slotName?: string;
  readonly publicationName?: string;
  /** Nothing was prepared for this gateway before: what bears its name at the source is somebody else's, and stays so. Default false. */
  readonly isNew?: boolean;
}

/** Declares a connector: checks its spec and gives it back. @throws INVALID_SPEC naming the option whose declaration contradicts itself. */
export function defineConnector(definition: ConnectorDefinition): ConnectorDefinition {
  const {name, spec} = definition;
  if (!/^[a-z][a-z0-9_-]*$/.test(name))
    throw contradiction(name, 'its name', 'must be lower case letters, digits, "_" or "-"');
  checkOptions(name, 'connection', spec.connection);
  checkOptions(name, 'table', spec.table);
  for (const [method, {options}] of Object.entries(spec.authMethods ?? {})) {
    checkOptions(name, method, options);
    const common = Object.keys(options).find((option) => Object.hasOwn(spec.connection, option));
    if (common !== undefined) throw contradiction(name, `${method}.${common}`, 'is an option of the connection too');
  }
  return definition;
}

function checkOptions(connector: string, group: string, specs: OptionSpecs): void {
  for (const [name, spec] of Object.entries(specs)) {
    const problem = problemOf(name, spec);
    if (problem !== null) throw contradiction(connector, `${group}.${name}`, problem);
  }
}

/** What is wrong with the declaration of an option, null when nothing is. */
function problemOf(name: string, spec: OptionSpec): string | null {
  const isNumber = spec.type === 'integer' || spec.type === 'number';
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return 'must have a name of letters, digits and "_"';
  if (spec.description.trim() === '') return 'has no description';
  if (!isNumber && (spec.min !== undefined || spec.max !== undefined)) return 'has a range but is no number';
  if ((spec.min ?? -Infinity) > (spec.max ?? Infinity)) return 'has a min above its max';
  if (spec.enum !== undefined && spec.type !== 'string' && spec.type !== 'string[]')
    return 'has an enum but is no text';
  if (spec.enum?.length === 0) return 'has an empty enum';
  if (spec.default === undefined) return null;
  if (spec.required === true) return 'is required and has a default';
  if (spec.secret === true) return 'is secret and has a default';
  const converted =
    typeof spec.default === 'string' && spec.type !== 'string' ? null : convertOption(spec, spec.default);
  return converted !== null && 'value' in converted
    ? null
    : `has a default that is not ${converted?.mustBe ?? `of type ${spec.type}`}`;
}

function contradiction(connector: string, option: string, problem: string): IngestError {
  return new IngestError('INVALID_SPEC', `The connector "${connector}" is declared wrongly: ${option} ${problem}.`, {
    context: {connector, path: option},
  });
}
