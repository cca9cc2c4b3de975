import {describe, expect, it} from 'vitest';

import {createCoercer} from '../../core/coerce.ts';
import {parseJson} from '../../core/json-reader.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
import {canonicalCell, hash60, rowText} from '../canonical.ts';
import type {VerifyScope} from '../contract.ts';
import {callContext} from './rest-fixture.support.test.ts';
import type {RestTable} from './rest-spec.ts';
import {openRestVerify} from './rest-verify.ts';

const SCHEMA = fromDdl(
  'id BIGINT NOT NULL, name STRING, price DECIMAL(12,2), ratio DOUBLE, small INT, ok BOOLEAN, day DATE, at TIMESTAMP, local TIMESTAMP_NTZ, made TIMESTAMP',
);

const ROWS: readonly string[] = [
  '{"id": 1, "name": "a", "price": 1.5, "ratio": 0.1, "small": 3, "ok": true, "day": "2026-01-31", "at": "2026-01-31T12:00:00.5+02:00", "local": "2026-01-31 12:00:00", "made": 1767225600}',
  '{"id": 9007199254740993, "name": "", "price": "-0.00", "ratio": 1e300, "small": -7, "ok": false, "day": null, "at": "2026-01-31T12:00:00Z", "local": null, "made": 1767225600123}',
  '{"id": "3", "name": 12.50, "price": 12345678.9, "ratio": "2.25", "small": "4", "ok": "true", "day": "2026-02-01", "at": null, "made": null}',
  '{"id": 4, "name": true, "price": 100, "ratio": 3, "small": 5.0, "at": "1969-12-31T23:59:59.999999Z"}',
  '{"id": 5, "small": true, "ok": 0}',
  '{"id": 6, "small": false, "ok": 1}',
  '{"id": 7, "ok": "Yes"}',
  '{"id": 8, "ok": "N"}',
];

const TABLE: RestTable = {
  name: 'things',
  primaryKeys: ['id'],
  ingestionType: 'cdc',
  cursorField: 'at',
  schema: SCHEMA,
  read: {kind: 'sorted', list: {request: {url: '/'}}},
};

function rows(): readonly JsonObject[] {
  return ROWS.map((text) => parseJson(text) as JsonObject);
}

function scopeOf(): VerifyScope {
  return {
    table: 'things',
    options: {},
    columns: SCHEMA.fields.map(({name, type}) => ({name, type})),
    keys: ['id'],
    buckets: 1,
  };
}

async function* listed(): AsyncGenerator<readonly JsonObject[]> {
  yield rows();
}

describe('the comparison of a listed table', () => {
  it('gives every value the text that landed has, by a reader of its own', async () => {
    const coercer = createCoercer(
      {
        type: 'struct',
        fields: [...SCHEMA.fields, {name: '_rescued_data', type: 'string', nullable: true, metadata: {}}],
      },
      {rescue: true, keys: ['id']},
    );
    for (const row of rows()) expect(coercer.add(row)).toBe(true);
    const {batch} = coercer.take();
    const expected = rows().map((_, row) =>
      hash60(
        rowText(
          SCHEMA.fields.map(({type}, column) => {
            const vector = batch.columns[column];
            return vector === undefined ? null : canonicalCell(vector, row, type);
          }),
          SCHEMA.fields.map(({type}) => type),
        ),
      ),
    );
    await using point = openRestVerify(scopeOf(), null, {table: TABLE, schema: SCHEMA, rows: listed, nowMicros: 0n});
    const [sum] = await point.sums(callContext());
    expect(sum?.count).toBe(8n);
    const found: bigint[] = [];
    for await (const keys of point.keys([0], callContext())) found.push(...keys.map(({hash}) => hash));
    expect(found).toEqual(expected);
  });

  it('says nothing about rows at or beyond the end of the flow', async () => {
    await using point = openRestVerify(
      scopeOf(),
      {cursor: '2026-01-31T11:59:59Z'},
      {table: TABLE, schema: SCHEMA, rows: listed, nowMicros: 0n},
    );
    const touched: unknown[] = [];
    for await (const keys of point.touched?.([0], callContext()) ?? []) touched.push(...keys.map(([id]) => id));
    expect(touched).toEqual(['9007199254740993']);
  });
});
