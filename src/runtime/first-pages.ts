import type {Connector, Page, ReadContext, TableOptions} from '../sdk/contract.ts';

/** The pages of a table from its beginning, of the first batch or of the partitions; for those who stop when they have enough. */
export async function* firstPages(
  connector: Connector,
  read: {readonly table: string; readonly options: TableOptions; readonly ctx: ReadContext},
): AsyncGenerator<Page, void> {
  const {table, options, ctx} = read;
  if (
    connector.readPartition !== undefined &&
    connector.getPartitions !== undefined &&
    connector.isPartitioned?.(table, null, options) === true
  ) {
    const end = (await connector.latestOffset?.(table, null, options, ctx)) ?? null;
    const plan = await connector.getPartitions(table, {start: null, end}, options, ctx);
    try {
      for (const partition of plan.partitions) yield* connector.readPartition(table, partition, options, ctx);
    } finally {
      await plan[Symbol.asyncDispose]?.();
    }
    return;
  }
  yield* connector.readTable(table, null, options, ctx);
}
