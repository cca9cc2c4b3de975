import {IngestError} from '../core/errors.ts';
import {clusterTable} from '../delta/cluster-table.ts';
import type {CreateOptions, DeltaTable} from '../delta/delta-table.ts';
import {clusteringColumnsOf} from '../delta/layout.ts';
import {landedName, rememberedName} from './column-names.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** How files of a new destination lie. */
export function layoutOf(flow: ResolvedFlow): Pick<CreateOptions, 'partitionColumns' | 'clusteringColumns'> {
  const {partitionColumns, clusteringColumns} = flow.configuration;
  const landed = (name: string): string => landedName(flow, name);
  return {partitionColumns: partitionColumns.map(landed), clusteringColumns: clusteringColumns.map(landed)};
}

/**
 * Checks that a destination which is there lies as configured. Where nothing is configured, it stays as it was made.
 * @throws UNSUPPORTED when it is partitioned otherwise.
 */
export function checkPartitions(flow: ResolvedFlow, {snapshot}: DeltaTable): void {
  const {partitionColumns} = flow.configuration;
  const stored = snapshot.metadata.partitionColumns;
  if (partitionColumns.length === 0 || isSame(partitionColumns, stored)) return;
  const inSource = stored.map((name) => {
    const field = snapshot.schema.fields.find((one) => one.name === name);
    return field === undefined ? name : rememberedName(field);
  });
  if (isSame(partitionColumns, inSource)) return;
  // A column that is about to be renamed still has its former name.
  const former = partitionColumns.map((name) => flow.configuration.renamedColumns[name] ?? name);
  if (isSame(former, stored)) return;
  const now = stored.length === 0 ? 'not partitioned' : `by ${stored.join(', ')}`;
  throw new IngestError(
    'UNSUPPORTED',
    `Table ${flow.name} is to be partitioned by ${partitionColumns.join(', ')}, and is ${now}.`,
    {
      fix: 'A table keeps its partitions: choose another destination_table, move the table away so that the next run makes it anew, or take the change of partition_columns back.',
      context: {table: flow.name},
    },
  );
}

/**
 * Has the rows to come clustered as configured; those that are there move with the next optimize.
 * @throws INVALID_OPTION when the table cannot be clustered so.
 */
export async function keepClustering(flow: ResolvedFlow, table: DeltaTable): Promise<void> {
  const clusteringColumns = flow.configuration.clusteringColumns.map((name) => landedName(flow, name));
  if (clusteringColumns.length === 0 || isSame(clusteringColumns, clusteringColumnsOf(table.snapshot))) return;
  await clusterTable(table, clusteringColumns);
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
