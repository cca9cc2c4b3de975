import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import type {JsonObject} from '../../core/json-value.ts';
import {parseRestDocument, restDocumentJsonSchema} from './rest-document.ts';
import {callContext, openConnector, serve, testClock, TestFlow} from './rest-fixture.support.test.ts';

const DOCUMENT = `
name: quakes
description: Earthquakes of a GeoJSON service.
connection:
  base_url: {type: string, required: true, description: Where the service is.}
  token: {type: string, required: true, secret: true, description: The token.}
table_options:
  min_magnitude: {type: number, default: 0, description: Only those at least so strong.}
client:
  base_url: \${config.base_url}
  auth: {kind: bearer, token: "\${config.token}"}
  headers: {X-Client: "sluice \${config.token|upper}"}
tables:
  - name: earthquakes
    primary_keys: [id]
    cursor_field: updated
    ingestion_type: cdc
    schema: {id: STRING NOT NULL, mag: DOUBLE, place: STRING, updated: TIMESTAMP, longitude: DOUBLE, source: STRING}
    lift: [properties]
    set: {longitude: "\${record.geometry.coordinates[0]}", source: "\${table}/\${option.min_magnitude}"}
    drop: [type, geometry]
    read:
      kind: sorted
      field: properties.updated
      list:
        request:
          url: /regions/\${parent.region}/quakes
          query: {updatedafter: "\${cursor}", minmagnitude: "\${option.min_magnitude}", orderby: updated-asc}
        records: features
        paginator: {kind: offset, slot: {query: offset}, size: {slot: {query: limit}, value: 2}, total: metadata.total}
    partitions: {kind: list, name: region, values: [north/east, south]}
`;

function quake(id: string, updated: string): JsonObject {
  return {id, type: 'Feature', properties: {mag: 1.5, place: 'here', updated}, geometry: {coordinates: [12.5, 3]}};
}

describe('a connector that is a document', () => {
  it('reads with templates, partitions, pages, lifted and made columns', async () => {
    const all: Readonly<Record<string, readonly JsonObject[]>> = {
      '/regions/north%2Feast/quakes': [
        quake('a', '2026-01-01T00:00:00Z'),
        quake('b', '2026-01-01T00:00:01Z'),
        quake('c', '2026-01-01T00:00:01Z'),
      ],
      '/regions/south/quakes': [quake('d', '2026-01-02T00:00:00Z')],
    };
    const headers: unknown[] = [];
    await using api = await serve((request) => {
      headers.push(request.headers['authorization'], request.headers['x-client']);
      const since = request.query.get('updatedafter') ?? '';
      const rows = (all[request.path] ?? []).filter(
        (row) => String((row['properties'] as JsonObject)['updated']) >= since,
      );
      const offset = Number(request.query.get('offset'));
      return {
        body: {
          metadata: {total: rows.length},
          features: rows.slice(offset, offset + Number(request.query.get('limit'))),
        },
      };
    });
    const connector = openConnector(parseRestDocument(parse(DOCUMENT), 'quakes.yml'), {
      base_url: api.baseUrl,
      token: 't0k',
    });
    const flow = new TestFlow(connector, 'earthquakes', {
      clock: testClock(Date.parse('2026-02-01T00:00:00Z')),
      options: {min_magnitude: 0},
    });
    await flow.trigger(() => 'cut');
    expect([...flow.rows.values()]).toEqual(
      ['a', 'b', 'c', 'd'].map(
        (id) => expect.objectContaining({id, mag: 1.5, longitude: 12.5, source: 'earthquakes/0'}) as unknown,
      ),
    );
    expect(Object.keys(flow.rows.get('a') ?? {})).toEqual(['id', 'mag', 'place', 'updated', 'longitude', 'source']);
    expect(new Set(headers)).toEqual(new Set(['Bearer t0k', 'sluice T0K']));
    await connector.close?.();
  });

  it('gives the declared schema and metadata', async () => {
    const connector = openConnector(parseRestDocument(parse(DOCUMENT), 'quakes.yml'), {
      base_url: 'http://127.0.0.1:1',
      token: 't',
    });
    const schema = await connector.getTableSchema('earthquakes', {}, callContext());
    expect(schema.fields.map(({name, nullable}) => `${name} ${nullable}`)).toEqual([
      'id false',
      'mag true',
      'place true',
      'updated true',
      'longitude true',
      'source true',
    ]);
    expect(await connector.readTableMetadata('earthquakes', {}, callContext())).toMatchObject({
      primaryKeys: ['id'],
      cursorField: 'updated',
      ingestionType: 'cdc',
    });
    await connector.close?.();
  });

  const WRONG: readonly (readonly [string, string, string])[] = [
    [
      'ingestion_type: cdc',
      'ingestion_type: cdd',
      'quakes.yml: tables[0].ingestion_type must be one of snapshot, cdc, cdc_with_deletes, append.',
    ],
    ['records: features', 'recrods: features', 'quakes.yml: tables[0].read.list.recrods is unknown.'],
    [
      'kind: offset',
      'kind: ofset',
      'quakes.yml: tables[0].read.list.paginator.kind must be one of none, page, offset, cursor, next_url, keyset, odata, graphql_relay, async_job.',
    ],
    [
      '${option.min_magnitude}", orderby',
      '${option.min_magnitud}", orderby',
      'quakes.yml: tables[0].read.list.request.query.minmagnitude uses the table option "min_magnitud", which is unknown.',
    ],
    ['|upper', '|uper', 'quakes.yml: client.headers.X-Client uses the formatter "uper", which is unknown.'],
    ['mag: DOUBLE', 'mag: DUBLE', 'quakes.yml: tables[0].schema.mag is no schema'],
    ['field: properties.updated', 'field: properties[updated]', 'quakes.yml: tables[0].read.field is no path.'],
    ['primary_keys: [id]', 'primary_keys: []', 'quakes.yml: Table "earthquakes" is cdc and has no primaryKeys.'],
  ];

  for (const [right, wrong, message] of WRONG) {
    it(`names the place of "${wrong}"`, () => {
      expect(DOCUMENT).toContain(right);
      const text = DOCUMENT.replace(right, wrong);
      let error: unknown;
      try {
        parseRestDocument(parse(text), 'quakes.yml');
      } catch (caught) {
        error = caught;
      }
      expect(error).toMatchObject({code: 'INVALID_SPEC'});
      expect(String((error as Error).message)).toContain(message);
    });
  }

  it('has a JSON Schema that refers only to what it defines', () => {
    const schema = restDocumentJsonSchema() as {readonly $defs: Readonly<Record<string, unknown>>};
    const text = JSON.stringify(schema);
    const references = new Set([...text.matchAll(/"#\/\$defs\/([a-z]+)"/g)].map(([, name]) => name ?? ''));
    expect([...references].sort()).toEqual(Object.keys(schema.$defs).sort());
  });

  it('refuses options that do nothing for a table', async () => {
    const connector = openConnector(parseRestDocument(parse(DOCUMENT), 'quakes.yml'), {
      base_url: 'http://127.0.0.1:1',
      token: 't',
    });
    await expect(connector.getTableSchema('earthquakes', {window_seconds: 60}, callContext())).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: 'The table option "window_seconds" does nothing for table "earthquakes".',
    });
  });
});
