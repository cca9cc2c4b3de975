import {isIngestError} from '../core/errors.ts';
import type {DeltaTable, TableSnapshot} from './delta-table.ts';
import {withFeatures} from './features.ts';
import {checkClustering, clusteringColumnsOf, clusteringDomain} from './layout.ts';

/** Writers that may come in between before we give up. */
const MAX_ATTEMPTS = 8;

/**
 * Declares what a table is clustered by from now on, in a commit of its own; none when it is so already. Rows that are there
 * stay where they are: optimize moves them. Adds the table features `clustering` and `domainMetadata`, which only writers
 * must know.
 * @throws INVALID_OPTION when the table cannot be clustered by them; COMMIT_CONFLICT.
 */
export async function clusterTable(table: DeltaTable, columns: readonly string[]): Promise<TableSnapshot> {
  for (let attempt = 1; ; attempt++) {
    const base = await table.refresh();
    const {metadata, schema} = base;
    const before = clusteringColumnsOf(base);
    if (JSON.stringify(before) === JSON.stringify(columns)) return base;
    checkClustering(table.root, metadata, {schema, columns});
    const protocol = withFeatures(table.root, base, ['clustering', 'domainMetadata']);
    try {
      return await table.commit({
        base,
        operation: 'CLUSTER BY',
        operationParameters: {oldClusteringColumns: before.join(','), newClusteringColumns: columns.join(',')},
        ...(protocol === base.protocol ? {} : {protocol}),
        domains: [clusteringDomain(schema, columns)],
        blindAppend: false,
      });
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !isIngestError(error, 'COMMIT_CONFLICT')) throw error;
    }
  }
}
