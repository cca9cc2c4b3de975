import type {LakeOptions, TableResult} from './api.ts';
import {limitedResult, openNamed} from './inspect.ts';
import {versionOf, type VersionText} from './table-version.ts';
import {openWorkbench} from './workbench.ts';

/**
 * What the versions of a range, both ends in it, did to the rows of a table, in the order of the versions. A range that
 * ends at a time ends with the version that was the newest then.
 */
export async function tableChanges(
  name: string,
  options: LakeOptions & {readonly from: VersionText; readonly to: VersionText | null; readonly limit: number},
): Promise<TableResult> {
  await using bench = await openWorkbench(options);
  const {table} = await openNamed(bench, name);
  const from = await versionOf(table, options.from);
  const to = options.to === null ? table.snapshot.version : await versionOf(table, options.to);
  const select = `SELECT * FROM (${await table.changesSql({from, to})}) ORDER BY _commit_version`;
  return await limitedResult(bench, select, options);
}
