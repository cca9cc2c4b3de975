import {systemClock} from '../core/clock.ts';
import type {OptionValue} from '../sdk/contract.ts';
import type {ConnectorDefinition, ProxyOptions, SecretStore} from '../sdk/define-connector.ts';
import {resolveConnectionOptions} from '../sdk/options.ts';
import type {ConnectorProof, ProofClock, ProofTable} from './connector-proof.ts';
import {memorySecrets, NO_FILES, SILENT} from './proof-bench.ts';

/** A login to a real source. */
export interface LiveLogin {
  readonly connectionOptions: Readonly<Record<string, OptionValue>>;
  readonly connectionName: string;
  /** Where tokens that rotate are kept: every case logs in, and an old token may be worth nothing. */
  readonly secrets: SecretStore;
  readonly proxies?: ProxyOptions;
}

/** The login of some options; tokens that rotate are kept in memory where nothing else is said. */
export function liveLogin({
  connectionOptions,
  connectionName = 'proof',
  secrets = memorySecrets(),
  ...more
}: Pick<LiveLogin, 'connectionOptions'> & Partial<LiveLogin>): LiveLogin {
  return {connectionOptions, connectionName, secrets, ...more};
}

/** What a proof against a real source needs. */
export interface LiveProofOptions extends LiveLogin {
  /** Names of the tables. */
  readonly tables: readonly string[];
  /** Options by table. */
  readonly tableOptions?: Readonly<Record<string, Readonly<Record<string, OptionValue>>>>;
  /** The proof against the simulator: gives paging styles, exclusions, and writes that use the connection's options alone. */
  readonly simulated?: ConnectorProof;
}

/**
 * A proof against a real source: nothing is known of its rows, it has no faults on call, its clock is the machine's. The first
 * pages of each table are read; only cases that need no more are run.
 */
export function liveProof(definition: ConnectorDefinition, options: LiveProofOptions): ConnectorProof {
  const {connectionOptions, connectionName, secrets, proxies, tables, tableOptions = {}, simulated} = options;
  return {
    definition,
    start: () =>
      Promise.resolve({
        connectionOptions,
        connectionName,
        secrets,
        ...(proxies === undefined ? {} : {proxies}),
        clock: LIVE_CLOCK,
        isLive: true,
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    tables: Object.fromEntries(
      tables.map((name) => [name, liveTable(simulated?.tables[name], tableOptions[name])] as const),
    ),
    exclude: {...simulated?.exclude, ...NOT_LIVE},
  };
}

/** The tables of a real source. @throws INVALID_OPTION, AUTH_FAILED and whatever the connector throws */
export async function listLiveTables(
  definition: ConnectorDefinition,
  {connectionOptions, connectionName, secrets, proxies}: LiveLogin,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const connector = definition.create({
    options: resolveConnectionOptions(definition.spec, connectionOptions, 'the credentials'),
    clock: systemClock,
    random: Math.random,
    connectionName,
    secrets,
    ...(proxies === undefined ? {} : {proxies}),
  });
  try {
    return await connector.listTables({signal, clock: systemClock, log: SILENT, files: NO_FILES});
  } finally {
    await connector.close?.();
  }
}

function liveTable(
  known: ProofTable | undefined,
  options: Readonly<Record<string, OptionValue>> | undefined,
): ProofTable {
  const merged = {...known?.options, ...options};
  return {
    pagingStyle: known?.pagingStyle ?? 'none',
    ...(Object.keys(merged).length === 0 ? {} : {options: merged}),
    ...(known?.configuration === undefined ? {} : {configuration: known.configuration}),
    ...(known?.isPartitioned === undefined ? {} : {isPartitioned: known.isPartitioned}),
    ...(known?.visibleAfterMs === undefined ? {} : {visibleAfterMs: known.visibleAfterMs}),
    ...(known?.tracksDeletes === undefined ? {} : {tracksDeletes: known.tracksDeletes}),
    ...(known?.writes === undefined ? {} : {writes: known.writes}),
  };
}

const MOVES = 'a real source changes while it is read';

const NOT_LIVE: Readonly<Record<string, string>> = {
  'generic: refuses wrong credentials with AUTH_FAILED and shows no secret':
    'wrong logins may lock an account; the simulator proves it',
  'generic: ends a trigger, and brings nothing new from a quiet source': MOVES,
  'generic: reads the same rows from equal sources, and at any time': MOVES,
  'generic: reads on from an offset whatever the order of its keys': MOVES,
  'generic: fills every column in some row': 'a real account need not use every field',
  'generic: lands every table in a lake as the source has it': MOVES,
  'partition: gives partitions that are plain JSON, the same for the same range': MOVES,
  'partition: gives no partitions between equal offsets, and stands still': MOVES,
  'partition: takes an empty offset for none': MOVES,
  'partition: reads partitions on another instance, in any order': MOVES,
  'partition: reads partitions at once within the budget of the source':
    'a real source does not say what it thinks of its clients',
  'faults: stays within the budget of the source': 'a real source does not say what it thinks of its clients',
};

/** The machine's time, which nobody moves. */
const LIVE_CLOCK: ProofClock = {...systemClock, advance: () => undefined};
