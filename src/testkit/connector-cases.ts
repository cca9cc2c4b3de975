import {connectorCase, tableCase, type CaseScope, type ConnectorCaseSpec, type TableCaseSpec} from './case-spec.ts';
import {EXACTNESS_CASES} from './cases-exactness.ts';
import {FAULT_CASES} from './cases-faults.ts';
import {GENERIC_CASES} from './cases-generic.ts';
import {LAKE_CASES} from './cases-lake.ts';
import {PARTITION_CASES} from './cases-partition.ts';
import {RESUME_CASES} from './cases-resume.ts';
import {TABLE_CASES} from './cases-tables.ts';
import {WRITEBACK_CASES} from './cases-writeback.ts';
import type {ConnectorCase, ConnectorCaseOptions, ConnectorProof, ConnectorSuite} from './connector-proof.ts';

const DEFAULT_SEED = 1;

const OF_CONNECTOR: readonly ConnectorCaseSpec[] = [...GENERIC_CASES, ...LAKE_CASES];
const OF_TABLES: readonly TableCaseSpec[] = [
  ...TABLE_CASES,
  ...EXACTNESS_CASES,
  ...RESUME_CASES,
  ...FAULT_CASES,
  ...WRITEBACK_CASES,
  ...PARTITION_CASES,
];

/**
 * The cases of the suites for a connector, each on a fresh source, in an order that finds simple mistakes first. A case
 * that does not apply is among them with `excluded`. A test file runs them as
 * `for (const c of connectorCases(proof)) it(c.name, c.run)`.
 */
export function connectorCases(proof: ConnectorProof, options: ConnectorCaseOptions = {}): readonly ConnectorCase[] {
  const {suite = 'all', seed = DEFAULT_SEED, full = false, trace, signal} = options;
  const scope: CaseScope = {
    proof,
    seed,
    isFull: full,
    tables: options.tables ?? Object.keys(proof.tables),
    options: {...(trace === undefined ? {} : {trace}), ...(signal === undefined ? {} : {signal})},
  };
  const wanted = SUITES[suite];
  const {tables} = scope;
  const about = OF_CONNECTOR.filter(
    (spec) => wanted.has(spec.suite) && (options.tables === undefined || spec.forTables === true),
  );
  return [
    ...about.map((spec) => connectorCase(spec, scope)),
    ...OF_TABLES.filter((spec) => wanted.has(spec.suite)).flatMap((spec) =>
      tables.map((table) => tableCase(spec, table, scope)),
    ),
  ];
}

const SUITES: Readonly<Record<NonNullable<ConnectorCaseOptions['suite']>, ReadonlySet<ConnectorSuite>>> = {
  generic: new Set(['generic', 'exactness', 'resume']),
  writeback: new Set(['writeback']),
  partition: new Set(['partition']),
  faults: new Set(['faults']),
  all: new Set(['generic', 'exactness', 'resume', 'writeback', 'partition', 'faults']),
};
