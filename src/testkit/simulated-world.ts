import {rm} from 'node:fs/promises';

import type {OptionValue} from '../sdk/contract.ts';
import type {ConnectorDefinition} from '../sdk/define-connector.ts';
import type {Simulator} from '../simulator/index.ts';
import {connectorCases} from './connector-cases.ts';
import type {ConnectorCase, ConnectorProof} from './connector-proof.ts';
import {proofClock} from './proof-clock.ts';
import {
  landedRows,
  openTestLake,
  runConnector,
  type TestLake,
  type TestRunEnd,
  type TestTable,
} from './run-connector.ts';

/** A simulated source, and a lake that goes by its clock. Disposing closes the source, and removes the lake. */
export interface SimulatedWorld<Source> extends AsyncDisposable {
  readonly source: Source;
  readonly lake: TestLake;
  /** Runs tables into `main.test`; options of the connection go over its login, undefined takes one of them away; `base_url` is the simulator's. */
  run(tables: TestTable | readonly TestTable[], options?: Readonly<Record<string, OptionValue>>): Promise<TestRunEnd>;
  /** What landed of a table, by default its ids. */
  rows(destination: string, columns?: string): ReturnType<typeof landedRows>;
}

/** Opens a lake beside a running simulator. */
export async function openSimulatedWorld<Source extends {readonly simulator: Simulator}>(
  source: Source,
  {
    definition,
    login,
  }: {readonly definition: ConnectorDefinition; readonly login: Readonly<Record<string, OptionValue>>},
): Promise<SimulatedWorld<Source>> {
  const {simulator} = source;
  const lake = await openTestLake(undefined, {clock: proofClock(simulator.clock)});
  return {
    source,
    lake,
    run: (tables, options = {}) =>
      runConnector(lake, {
        definition,
        options: given({...login, base_url: simulator.url, ...options}),
        tables: 'source' in tables ? [tables] : tables,
      }),
    rows: (destination, columns = 'id') => landedRows(lake, destination, columns),
    async [Symbol.asyncDispose](): Promise<void> {
      await simulator.close();
      await lake[Symbol.asyncDispose]();
      await rm(lake.folder, {recursive: true, force: true});
    },
  };
}

function given(options: Readonly<Record<string, OptionValue>>): Readonly<Record<string, OptionValue>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Which cases of a connector of many tables are run where all would take too long. */
export interface CaseSample {
  /** Tables of which everything is proved: one of each way of reading. */
  readonly whole: readonly string[];
  /** Cases that are about no table. Default: all. */
  readonly ofAll?: (name: string) => boolean;
  /** Generic cases of the other tables. */
  readonly ofOthers: (name: string, table: string) => boolean;
  /** Tables beside the whole ones of which what is written is read back. Default: all. */
  readonly written?: (table: string) => boolean;
}

/** The cases of a sample that apply. */
export function sampledCases(
  proof: ConnectorProof,
  {whole, ofAll = () => true, ofOthers, written = () => true}: CaseSample,
): readonly ConnectorCase[] {
  const others = Object.keys(proof.tables).filter((table) => !whole.includes(table));
  return [
    ...connectorCases(proof).filter(({name, table}) => table === undefined && ofAll(name)),
    ...connectorCases(proof, {tables: whole}),
    ...connectorCases(proof, {tables: others, suite: 'generic'}).filter(
      ({name, table}) => table !== undefined && ofOthers(name, table),
    ),
    ...connectorCases(proof, {tables: others.filter(written), suite: 'writeback'}),
  ].filter(({excluded}) => excluded === undefined);
}
