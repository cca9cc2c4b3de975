import type {Clock, Random} from '../core/clock.ts';
import type {Connector, OptionValue} from './contract.ts';

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
  return definition;
}
