import type {StructType} from '../core/types.ts';
import type {AddFile} from '../delta/actions.ts';
import {mappingMode, physicalNames} from '../delta/column-mapping.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {landedName} from './column-names.ts';
import {type Landing, rowsSelect, rowsShape} from './landing.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Where rows are written to. */
export interface StageJob {
  readonly table: DeltaTable;
  readonly flow: ResolvedFlow;
  readonly schema: StructType;
  readonly signal: AbortSignal;
}

/** Writes landed rows as data files that are in no version yet. */
export function writeRows({table, flow, schema, signal}: StageJob, select: string): Promise<readonly AddFile[]> {
  return table.writeFiles({select: rowsSelect(flow, select, {dropFiltered: true, ordered: false}), schema}, signal);
}

/** Writes the rows of files as data files. Those without a key are quarantined, and the files written again without them. */
export async function stageRows(job: StageJob, landing: Landing, select: string): Promise<readonly AddFile[]> {
  const files = await writeRows(job, select);
  const required = rowsShape(job.flow).required.map((name) => landedName(job.flow, name));
  // The statistics of what is written tell it without reading the source's files once more.
  const mode = mappingMode(job.table.snapshot.metadata);
  const stored = physicalNames(job.table.snapshot.schema, required, mode);
  if (required.length === 0 || files.every((file) => hasAll(file, stored))) return files;
  const kept = await landing.withoutRefused(select);
  return kept === select ? files : writeRows(job, kept);
}

function hasAll(file: AddFile, names: readonly string[]): boolean {
  const {nullCount = {}} = JSON.parse(file.stats ?? '{}') as {readonly nullCount?: Readonly<Record<string, unknown>>};
  return names.every((name) => nullCount[name] === 0);
}
