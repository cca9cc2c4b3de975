import type {VerifyPoint, VerifyScope} from '../sdk/contract.ts';
import {landedName, sourceName} from './column-names.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/**
 * A view of the source under the names that landed: the source is asked by its own names.
 * @param scope with the names that landed.
 */
export async function openUnderLandedNames(
  flow: ResolvedFlow,
  scope: VerifyScope,
  open: (scope: VerifyScope) => Promise<VerifyPoint>,
): Promise<VerifyPoint> {
  if (Object.keys(flow.columnNames).length === 0) return open(scope);
  const point = await open({
    ...scope,
    columns: scope.columns.map((column) => ({...column, name: sourceName(flow, column.name)})),
    keys: scope.keys.map((key) => sourceName(flow, key)),
  });
  const misfits = point.misfits?.bind(point);
  return {
    token: point.token,
    ...(point.exact === undefined ? {} : {exact: point.exact}),
    excluded: point.excluded.map((one) => ({...one, name: landedName(flow, one.name)})),
    sums: (ctx) => point.sums(ctx),
    keys: (buckets, ctx) => point.keys(buckets, ctx),
    columnHashes: (keys, ctx) => point.columnHashes(keys, ctx),
    ...(misfits === undefined
      ? {}
      : {misfits: async (ctx) => new Map([...(await misfits(ctx))].map(([name, n]) => [landedName(flow, name), n]))}),
    ...(point.touched === undefined ? {} : {touched: point.touched.bind(point)}),
    [Symbol.asyncDispose]: () => point[Symbol.asyncDispose](),
  };
}
