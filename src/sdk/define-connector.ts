import type {Clock, Random} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {Connector, OptionValue} from './contract.ts';
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
}

/** What {@link ConnectorDefinition.create} gets: its own connection's options and nothing else. */
export interface CreateContext {
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly clock: Clock;
  readonly random: Random;
  /** The connection's name, for application names and messages. */
  readonly connectionName: string;
}

/** A connector as a package exports it. */
export interface ConnectorDefinition {
  /** Lower case, `connection_type` in any case. */
  readonly name: string;
  readonly spec: ConnectorSpec;
  /** Makes an instance without touching the source; connections open at the first call. */
  create(context: CreateContext): Connector;
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
