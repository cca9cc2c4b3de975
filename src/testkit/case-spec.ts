import type {ConnectorCase, ConnectorProof, ConnectorSuite, ProofTable} from './connector-proof.ts';
import {ProofBench, type BenchOptions} from './proof-bench.ts';
import {ProofFailure} from './proof-failure.ts';

/** What the body of a case gets. */
export interface CaseRun {
  readonly proof: ConnectorProof;
  readonly seed: number;
  /** Nothing is sampled. */
  readonly isFull: boolean;
  /** The tables that are proved. */
  readonly tables: readonly string[];
  /** A fresh source with a connector; the body disposes it. */
  readonly open: (options?: Partial<BenchOptions>) => Promise<ProofBench>;
}

/** A case about a table. */
export interface TableCaseRun extends CaseRun {
  readonly table: string;
  readonly tableProof: ProofTable;
}

/** A case about the connector as a whole. */
export interface ConnectorCaseSpec {
  readonly suite: ConnectorSuite;
  readonly name: string;
  /** Runs for chosen tables as well. Default false: only when all are proved. */
  readonly forTables?: boolean;
  /** Why the case does not apply; undefined when it does. */
  readonly excluded?: (proof: ConnectorProof) => string | undefined;
  run(run: CaseRun): Promise<void>;
}

/** A case that is run for each table. */
export interface TableCaseSpec {
  readonly suite: ConnectorSuite;
  readonly name: string;
  readonly excluded?: (table: ProofTable, proof: ConnectorProof) => string | undefined;
  run(run: TableCaseRun): Promise<void>;
}

/** What all cases of one proof share. */
export interface CaseScope {
  readonly proof: ConnectorProof;
  readonly seed: number;
  readonly isFull: boolean;
  readonly tables: readonly string[];
  readonly options: Partial<BenchOptions>;
}

/** A case of a connector, ready to run. */
export function connectorCase(spec: ConnectorCaseSpec, scope: CaseScope): ConnectorCase {
  const {proof} = scope;
  const name = `${spec.suite}: ${spec.name}`;
  const excluded = proof.exclude?.[name] ?? spec.excluded?.(proof);
  return {
    name,
    suite: spec.suite,
    ...(excluded === undefined ? {} : {excluded}),
    run: () => (excluded === undefined ? explained(name, scope, () => spec.run(caseRun(scope))) : Promise.resolve()),
  };
}

/** A case of one table, ready to run. */
export function tableCase(spec: TableCaseSpec, table: string, scope: CaseScope): ConnectorCase {
  const {proof} = scope;
  const tableProof = proof.tables[table];
  const general = `${spec.suite}: ${spec.name}`;
  const name = `${general}: ${table}`;
  const excluded =
    tableProof === undefined
      ? `the proof has no table "${table}"`
      : (proof.exclude?.[name] ?? proof.exclude?.[general] ?? spec.excluded?.(tableProof, proof));
  return {
    name,
    suite: spec.suite,
    table,
    ...(excluded === undefined ? {} : {excluded}),
    run: () =>
      excluded !== undefined || tableProof === undefined
        ? Promise.resolve()
        : explained(name, scope, () => spec.run({...caseRun(scope), table, tableProof})),
  };
}

function caseRun({proof, seed, isFull, tables, options}: CaseScope): CaseRun {
  return {
    proof,
    seed,
    isFull,
    tables,
    open: (other = {}) => ProofBench.open(proof, {seed, signal: NEVER, ...options, ...other}),
  };
}

/** Says with every failure how to run the case again. */
async function explained(name: string, {seed}: CaseScope, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof Error) error.message = `${error.message}\nCase: ${name} (seed ${seed})`;
    throw error;
  }
}

/** Runs what must fail and gives its error. @throws ProofFailure when it does not fail. */
export async function errorOf(run: () => Promise<unknown>, expected: string, fix: string): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new ProofFailure({expected, came: 'no error', fix});
}

const NEVER = new AbortController().signal;
