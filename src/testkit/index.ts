/** What the tests of a connector, a store or an engine need: lakes and runs, faults and kills. */
export type {Clock, Random} from '../core/clock.ts';
export {seededRandom, systemClock} from '../core/clock.ts';
export type {FailpointName} from '../core/failpoint.ts';
export {FAILPOINTS} from '../core/failpoint.ts';
export type {FlowProgress, UpdateState} from '../pipeline/events.ts';
export type {FlowNote} from '../pipeline/services.ts';
export type {TableConfiguration} from '../pipeline/spec.ts';
export type {DifferenceKind} from '../pipeline/verify-differences.ts';
export type {HistoryCheck} from '../pipeline/verify-history.ts';
export type {ExtraReason, RescuedColumn, TableVerdict, VerifyLevel} from '../pipeline/verify-verdict.ts';
export {connectorCases} from './connector-cases.ts';
export type {
  ConnectorCase,
  ConnectorCaseOptions,
  ConnectorProof,
  ConnectorSuite,
  PagingStyle,
  ProofApi,
  ProofClock,
  ProofFault,
  ProofMutations,
  ProofSource,
  ProofStart,
  ProofTable,
  ProofWrites,
} from './connector-proof.ts';
export type {ProofDocuments} from './document-proof.ts';
export {restDocumentProof} from './document-proof.ts';
export type {LiveProofOptions} from './live-proof.ts';
export {liveProof} from './live-proof.ts';
export type {MovableTime} from './proof-clock.ts';
export {proofClock, standingClock} from './proof-clock.ts';
export type {Finding} from './proof-failure.ts';
export {ProofFailure} from './proof-failure.ts';
export type {
  CollectionTableOptions,
  ProofFaultSpec,
  SimulatedSource,
  SimulatedSourceOptions,
} from './simulated-source.ts';
export {collectionTable, simulatedFault, simulatedSource, simulatorOf, spreadOver} from './simulated-source.ts';
export type {Fault, FaultOptions, FaultRule, FaultStore, InjectedFault, StoreMethod} from './fault-store.ts';
export {createFaultStore} from './fault-store.ts';
export type {LogCase, LogUnderTest, ProofRow, ProofWrite} from './gateway-conformance.ts';
export {changeLogConformance} from './gateway-conformance.ts';
export type {KillEnd, KillRun} from './kill.ts';
export {runAndKill} from './kill.ts';
export type {KillLimit} from './run-scenario.ts';
export {runScenario} from './run-scenario.ts';
export type {Command, Comparison, Program, Scenario, Tally} from './scenario.ts';
export type {TestLake, TestRun, TestRunEnd, TestTable} from './run-connector.ts';
export {landedRows, openTestLake, runConnector} from './run-connector.ts';
export type {CaseSample, SimulatedWorld} from './simulated-world.ts';
export {openSimulatedWorld, sampledCases} from './simulated-world.ts';
export type {ScriptedCall, ScriptedConnector, ScriptedTable} from './scripted-connector.ts';
export {batches, scriptedConnector} from './scripted-connector.ts';
export type {CaseResult, CaseResults} from './run-connector-cases.ts';
export {runConnectorCases} from './run-connector-cases.ts';
export type {StoreCase, StoreCaseSizes, StoreUnderTest} from './store-conformance.ts';
export {storeConformance} from './store-conformance.ts';
