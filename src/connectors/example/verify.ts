import {
  canonicalText,
  cursorMicros,
  dayOf,
  formatTimestamp,
  IngestError,
  verifyRowsPoint,
  type CallContext,
  type DataType,
  type JsonObject,
  type JsonValue,
  type Offset,
  type VerifyColumn,
  type VerifyPoint,
  type VerifyRow,
  type VerifyScope,
} from '../../sdk/index.ts';

/** How the pages of a table are read in the course of a comparison. */
export type ReadAllRows = (ctx: CallContext) => AsyncIterable<readonly JsonObject[]>;

/**
 * The API has no sums: its rows are read again and added up, by a reader of values that has nothing in common with the one
 * that lands them. Rows stamped after the flow's end are left out, those stamped at it may have come later.
 * @throws UNSUPPORTED with predicates, and for orders of one status: which of them have left it the API does not say.
 */
export function openExampleVerify(
  scope: VerifyScope,
  end: Offset | null,
  source: {readonly rows: ReadAllRows; readonly nowMs: number},
): VerifyPoint {
  if (scope.filter !== undefined || scope.deleted !== undefined || typeof scope.options['status'] === 'string') {
    throw new IngestError('UNSUPPORTED', `Rows of "${scope.table}" that a condition chooses cannot be compared.`);
  }
  const place = placeOf(scope, end);
  return verifyRowsPoint(scope, {
    token: `read again from ${formatTimestamp(BigInt(source.nowMs) * 1000n)}`,
    excluded: [],
    async *rows(ctx): AsyncGenerator<readonly VerifyRow[], void> {
      for await (const rows of source.rows(ctx)) {
        yield rows.map((row) => ({cells: scope.columns.map((column) => cellOf(row, column)), ...place(row)}));
      }
    },
  });
}

type Place = Pick<VerifyRow, 'isLanded' | 'isTouched'>;

/** Where a row stands to the end of the flow. */
function placeOf(scope: VerifyScope, end: Offset | null): (row: JsonObject) => Place {
  const stamp = end?.['cursor'] ?? end?.['created_at'] ?? end?.['until'];
  if (typeof stamp !== 'string') return () => ({});
  const bound = cursorMicros(stamp);
  const column = scope.table === 'events' ? 'created_at' : 'updated_at';
  const ids = end?.['event_ids'];
  const known = Array.isArray(ids) ? new Set(ids.map(String)) : null;
  // Windows end with an instant that has passed; no row comes to it later.
  const isClosed = end?.['until'] !== undefined;
  return (row) => {
    const at = cursorMicros(String(row[column]));
    if (at > bound) return {isLanded: false};
    if (at < bound || isClosed) return {};
    if (known === null) return {isTouched: true};
    return known.has(String(row['event_id'])) ? {} : {isLanded: false};
  };
}

function cellOf(row: JsonObject, {name, type}: VerifyColumn): string | null {
  const value = row[name];
  return value === null || value === undefined ? null : textOf(value, type);
}

function textOf(value: JsonValue, type: DataType): string {
  switch (type) {
    case 'date':
      return String(
        dayOf(Number(String(value).slice(0, 4)), Number(String(value).slice(5, 7)), Number(String(value).slice(8, 10))),
      );
    case 'timestamp':
    case 'timestamp_ntz':
      return String(cursorMicros(String(value)));
    case 'double':
    case 'float':
      return canonicalText(Number(value), type) ?? '';
    case 'boolean':
      return value === true ? '1' : '0';
    default:
      return typeof type === 'object' && type.type === 'decimal' ? decimalOf(String(value), type.scale) : String(value);
  }
}

function decimalOf(text: string, scale: number): string {
  const [whole = '0', fraction = ''] = text.split('.');
  return scale === 0 ? whole : `${whole}.${fraction.padEnd(scale, '0')}`;
}
