/** What the tests of a connector, a store or an engine need: lakes and runs, faults and kills. */
export type {Clock, Random} from '../core/clock.ts';
export {seededRandom, systemClock} from '../core/clock.ts';
export type {FlowProgress, UpdateState} from '../pipeline/events.ts';
export type {FlowNote} from '../pipeline/services.ts';
export type {TableConfiguration} from '../pipeline/spec.ts';
export type {TableVerdict} from '../pipeline/verify-verdict.ts';
export type {Fault, FaultOptions, FaultRule, FaultStore, InjectedFault, StoreMethod} from './fault-store.ts';
export {createFaultStore} from './fault-store.ts';
export type {KillEnd, KillRun} from './kill.ts';
export {runAndKill} from './kill.ts';
export type {TestLake, TestRun, TestRunEnd, TestTable} from './run-connector.ts';
export {openTestLake, runConnector} from './run-connector.ts';
export type {ScriptedCall, ScriptedConnector, ScriptedTable} from './scripted-connector.ts';
export {batches, scriptedConnector} from './scripted-connector.ts';
export type {StoreCase, StoreCaseSizes, StoreUnderTest} from './store-conformance.ts';
export {storeConformance} from './store-conformance.ts';
