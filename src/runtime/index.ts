import {selectTables} from '../pipeline/discover.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {LakeOptions, RuntimeApi} from './api.ts';
import {tableChanges} from './changes.ts';
import {queryLake, status, tableHistory} from './inspect.ts';
import {describeTable, optimizeTables, vacuumTables} from './maintain.ts';
import {planPipeline} from './plan.ts';
import {previewTable} from './preview.ts';
import {restoreTable} from './restore.ts';
import {runUpdateInChild} from './run-in-child.ts';
import {openSession} from './session.ts';
import {adoptTables, resetState, showState} from './state.ts';

/** Everything that the command line does, as functions. Updates run in a process of their own. */
export const runtime: RuntimeApi = {
  runPipeline: async (spec, options) => {
    if (spec.changeLog?.isContinuous !== true) return runUpdateInChild(spec, options);
    const {runContinuously} = await import('./gateway/continuous.ts');
    return runContinuously(spec, options, runUpdateInChild);
  },
  planPipeline,
  listSourceTables,
  previewTable,
  status,
  showState,
  resetState,
  adoptTables,
  queryLake,
  tableHistory,
  tableChanges,
  restoreTable,
  optimizeTables,
  vacuumTables,
  describeTable,
  verifyPipeline: async (spec, options) => (await import('./verify.ts')).verifyPipeline(spec, options),
};

/** Tables of the source, and whether the pipeline selects them. */
async function listSourceTables(
  spec: PipelineSpec,
  options: LakeOptions,
): Promise<readonly {readonly name: string; readonly selected: boolean}[]> {
  await using session = await openSession(spec, options);
  const selected = new Set((await selectTables(spec, session.open, session.ctx)).map((table) => table.sourceTable));
  const names = new Set([...(await session.open.connector.listTables(session.ctx)), ...selected]);
  return [...names].sort().map((name) => ({name, selected: selected.has(name)}));
}
