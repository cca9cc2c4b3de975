import type {JsonObject, JsonValue} from '../../sdk/index.ts';
import {json, type SimulatedReply, type SimulatedRequest} from '../../simulator/index.ts';

/** The body of an error. */
export function failure(message: string, category: string): JsonValue {
  return {status: 'error', message, correlationId: 'aeb5f871-7f07-4993-9211-075dc63e7cbf', category};
}

/** A refused request. */
export function refused(message: string, status = 400): SimulatedReply {
  return json(failure(message, 'VALIDATION_ERROR'), {status});
}

/**
 * A page of rows after a place: the id of a row in `after`, or a number of rows where rows have none. Rows with the id that
 * went meanwhile do not matter when ids grow.
 */
export function afterPage(
  request: SimulatedRequest,
  rows: readonly JsonObject[],
  {pageCap, max}: {readonly pageCap: number; readonly max: number},
): SimulatedReply {
  const limit = Number(request.query.get('limit') ?? 10);
  if (!(limit >= 1 && limit <= max)) return refused(`limit must be from 1 to ${max}`);
  const from = Number(request.query.get('after') ?? 0);
  const page = rows.slice(from, from + Math.min(limit, pageCap));
  const next = from + page.length;
  return json({
    results: page,
    ...(next < rows.length ? {paging: {next: {after: String(next), link: '…'}}} : {}),
  });
}
