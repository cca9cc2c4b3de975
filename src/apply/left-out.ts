import type {LeftOut} from './apply-engine.ts';
import type {BatchContext} from './batch-context.ts';

/** Records are handed over this many at a time. */
const TOLD_AT_ONCE = 10_000;

/** Hands the records of a SELECT (`record`, JSON text) to whoever keeps what a batch leaves out; resolves to their number. */
export async function tellRecords(
  {leftOut, delta, signal}: BatchContext,
  select: string,
  tell: (leftOut: LeftOut, records: readonly string[]) => Promise<void>,
): Promise<number> {
  let count = 0;
  let records: string[] = [];
  const handOver = async (): Promise<void> => {
    if (leftOut !== null && records.length > 0) await tell(leftOut, records);
    records = [];
  };
  for await (const rows of delta.engine.stream(select, signal)) {
    for (const row of rows) records.push(String(row['record']));
    count += rows.length;
    if (records.length >= TOLD_AT_ONCE) await handOver();
  }
  await handOver();
  return count;
}
