import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import {connectorCases} from './connector-cases.ts';
import {restDocumentProof} from './document-proof.ts';

const CONNECTOR = `
name: quakes
description: Earthquakes of a service.
connection:
  base_url: {type: string, required: true, description: Where the service is.}
  token: {type: string, required: true, secret: true, description: The token.}
client:
  base_url: \${config.base_url}
  auth: {kind: bearer, token: '\${config.token}'}
  errors:
    - {when: {status: 200, body: {path: error.message, matches: .}}, then: retry}
    - {when: {status: 410}, then: fail, code: SOURCE_ERROR}
check: {url: /quakes, query: {limit: 1}}
tables:
  - name: quakes
    primary_keys: [id]
    cursor_field: updated
    ingestion_type: cdc
    schema: {id: BIGINT NOT NULL, place: STRING, mag: DOUBLE, updated: TIMESTAMP NOT NULL}
    lift: [properties]
    read:
      kind: sorted
      field: updated
      format: iso_ms
      list:
        request: {url: /quakes, query: {since: '\${cursor}'}}
        records: features
        paginator: {kind: cursor, slot: {query: cursor}, next: {body: next}, size: {slot: {query: limit}, value: 10}}
    deletes: {kind: key_scan}
  - name: shocks
    primary_keys: [id]
    cursor_field: at
    ingestion_type: cdc
    schema: {id: BIGINT NOT NULL, strength: INT, at: TIMESTAMP NOT NULL}
    read:
      kind: window
      format: iso_seconds
      start: '2024-12-30T00:00:00Z'
      step_seconds: 3600
      list:
        request: {url: /shocks, query: {from: '\${window.from}', to: '\${window.to}'}}
        records: shocks
        paginator: {kind: cursor, slot: {query: cursor}, next: {body: next}, size: {slot: {query: limit}, value: 5}}
  - name: stations
    primary_keys: [id]
    ingestion_type: snapshot
    schema: {id: BIGINT NOT NULL, region: STRING NOT NULL, name: STRING}
    partitions: {kind: list, name: region, values: [north, south, east]}
    read:
      kind: snapshot
      list:
        request: {url: '/regions/\${parent.region}/stations'}
        records: stations
        paginator: {kind: cursor, slot: {query: cursor}, next: {body: next}, size: {slot: {query: limit}, value: 5}}
`;

const SIMULATOR = `
name: Quakes
auth: {kind: bearer, tokens: [token-of-quakes]}
collections:
  quakes:
    key: id
    updatedAt: {field: updated}
    generate:
      count: 40
      fields:
        id: {kind: sequence, start: 1}
        properties:
          kind: object
          fields:
            place: {kind: text, template: 'Place {n}'}
            mag: {kind: number, min: 1, max: 9, decimals: 1}
        updated: {kind: time, start: '2024-12-30T00:00:00Z', stepMs: 60000, ties: 3}
  shocks:
    key: id
    updatedAt: {field: at, format: isoSeconds}
    generate:
      count: 40
      fields:
        id: {kind: sequence, start: 1}
        strength: {kind: number, min: 1, max: 9, decimals: 0}
        at: {kind: time, start: '2024-12-30T00:00:00Z', stepMs: 300000, ties: 3, format: isoSeconds}
  stations:
    key: id
    generate:
      count: 40
      fields:
        id: {kind: sequence, start: 1}
        region: {kind: choice, of: [north, south, east]}
        name: {kind: text, template: 'Station {n}'}
endpoints:
  - path: /shocks
    list: shocks
    params:
      from: {role: filter, field: at, op: gte}
      to: {role: filter, field: at, op: lt}
      cursor: {role: cursor}
      limit: {role: limit, default: 5, max: 5}
    sort: [{field: at}, {field: id}]
    paging: {style: cursor, next: {body: next}, whenLast: 'null'}
    wrap: {records: shocks}
  - path: /regions/{region}/stations
    list: stations
    scope: {region: region}
    params: {cursor: {role: cursor}, limit: {role: limit, default: 5, max: 5}}
    sort: [{field: id}]
    paging: {style: cursor, next: {body: next}, whenLast: 'null'}
    wrap: {records: stations}
  - path: /quakes
    list: quakes
    params:
      since: {role: since, field: updated}
      cursor: {role: cursor}
      limit: {role: limit, default: 10, max: 10}
    sort: [{field: updated}]
    paging: {style: cursor, next: {body: next}, whenLast: 'null'}
    wrap: {records: features}
`;

const PROOF = `
connection: {base_url: '{url}', token: token-of-quakes}
wrong_credentials: {token: another-token}
without_faults: [expired access tokens]
tables:
  quakes:
    collection: quakes
    paging_style: cursor
    page_size: 10
    lift: [properties]
    key_scan: true
    create: {id: '{n}', properties: {place: 'New {n}', mag: 2.5}}
    change: {properties: {place: 'Moved {n}'}}
  shocks:
    collection: shocks
    paging_style: window
    page_size: 5
    visible_after_ms: 65000
    deletes: false
    is_partitioned: true
    create: {id: '{n}', strength: 4}
    change: {strength: 5}
  stations:
    collection: stations
    paging_style: list
    page_size: 5
    is_partitioned: true
    create: {id: '{n}', region: south, name: 'New {n}'}
    change: {name: 'Changed {n}'}
`;

const proof = restDocumentProof(
  {connector: {document: parse(CONNECTOR), where: 'quakes.yml'}, simulator: parse(SIMULATOR), proof: parse(PROOF)},
  'quakes.proof.yml',
);

describe('a connector, a simulator and a proof that are documents', () => {
  // Faults, kills and the rest are those of any document, which the one of the earthquakes passes: test/earthquakes.test.ts.
  const wanted =
    /^generic: (?!lands)(?!.*: (shocks|stations)$)|^generic: gives metadata|^exactness: .*(a first load|inserts|updates|deletes|share a cursor value.*):|^partition: |^resume: .*: shocks$/;
  for (const each of connectorCases(proof))
    if (each.excluded === undefined && wanted.test(each.name)) it(each.name, each.run, 60_000);

  it('leaves out the faults that the proof names', async () => {
    await using source = await proof.start({seed: 1});
    const names = source.faults?.map((fault) => fault.name) ?? [];
    expect(names).toContain('503 with Retry-After');
    expect(names).not.toContain('expired access tokens');
  });

  it('names the place of a mistake in the proof', () => {
    const wrong = {connection: {}, tables: {quakes: {colection: 'quakes'}}};
    expect(() =>
      restDocumentProof({connector: proof.definition, simulator: parse(SIMULATOR), proof: wrong}, 'p.yml'),
    ).toThrow(/p\.yml\.tables\.quakes/);
  });
});
