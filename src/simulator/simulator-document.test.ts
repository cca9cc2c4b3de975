import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import {parseSimulatorDocument} from './simulator-document.ts';
import {simulate} from './simulator.ts';

const DOCUMENT = `
name: bookshop
basePath: /v1
auth: {kind: apiKey, in: header, name: X-Api-Key, keys: [secret]}
collections:
  books:
    key: id
    updatedAt: {field: updated_at}
    deletes: {field: archived, at: {field: archived_at}}
    generate:
      count: 25
      fields:
        id: {kind: sequence, start: 100}
        title: {kind: text, template: 'Book {n}'}
        price: {kind: number, min: 5, max: 60, decimals: 2, nulls: 0.2}
        shop: {kind: choice, of: [north, south]}
        archived: {kind: constant, value: false}
        updated_at: {kind: time, start: '2024-01-01T00:00:00Z', stepMs: 60000, ties: 5}
endpoints:
  - path: /shops/{shop}/books
    list: books
    scope: {shop: shop}
    params:
      since: {role: since, field: updated_at}
      archived: {role: deleted}
      page_size: {role: limit, default: 10, max: 10}
      after: {role: cursor}
    sort: [{field: updated_at}]
    paging: {style: cursor, next: {body: meta.after}, total: {body: meta.total}}
    wrap: {records: books}
  - {path: '/books/{id}', get: books, scope: {id: id}}
  - {path: '/books/{id}', delete: books, scope: {id: id}}
rateLimits:
  - {name: api, windowMs: 1000, max: 100, headers: {X-Remaining: '{remaining}'}}
faults:
  - {fault: {kind: answer, status: 503}, nth: 1, path: /v1/books/*}
`;

describe('a document', () => {
  it('describes a whole API', async () => {
    const spec = parseSimulatorDocument(parse(DOCUMENT), 'bookshop.yml');
    await using simulator = await simulate(spec, {seed: 5});
    const headers = {'x-api-key': 'secret'};
    const north = await fetch(`${simulator.url}/v1/shops/north/books`, {headers});
    const body = (await north.json()) as {books: {id: number; shop: string}[]; meta: {total: number; after: string}};
    expect(body.meta.after).toEqual(expect.any(String));
    expect(body.books.every(({shop}) => shop === 'north')).toBe(true);
    expect(body.books).toHaveLength(10);
    expect(north.headers.get('x-remaining')).toBe('99');
    const book = `${simulator.url}/v1/books/${body.books[0]?.id}`;
    expect((await fetch(book, {headers})).status).toBe(503);
    expect((await fetch(book, {headers, method: 'DELETE'})).status).toBe(204);
    const archived = await fetch(`${simulator.url}/v1/shops/north/books?archived=true`, {headers});
    expect(((await archived.json()) as {books: unknown[]}).books).toMatchObject([
      {id: body.books[0]?.id, archived: true, archived_at: '2025-01-01T00:00:00.000Z'},
    ]);
  });

  it.each([
    ['endpoints: []', 'shop.yml: name is wrong'],
    ['name: x\nendpoints: []\ncolections: {}', 'shop.yml: the document has no colections; did you mean collections?'],
    ['name: x\nendpoints: [{path: /a}]', 'shop.yml: endpoints[0] needs one of list, get, create, update, delete'],
    ['name: x\nendpoints: [{path: a, list: b}]', 'shop.yml: endpoints[0].path must begin with /'],
    ['name: x\nendpoints: [{path: /a, list: b, warp: {}}]', 'endpoints[0] has no warp; did you mean wrap?'],
    ['name: x\nendpoints: [{path: /a, list: b, params: {q: {role: page, first: 2}}}]', 'endpoints[0].params.q.first'],
    ['name: x\nendpoints: [{path: /a, list: b, params: {q: {role: pages}}}]', 'endpoints[0].params.q'],
    ['name: x\nendpoints: [{path: /a, list: b, paging: {style: page, next: {boddy: n}}}]', 'endpoints[0].paging.next'],
    ['name: x\nendpoints: []\nauth: {kind: bearer, tokns: []}', 'auth has no tokns; did you mean tokens?'],
    ['name: x\nendpoints: []\nfaults: [{fault: {kind: answer}}]', 'faults[0].fault.status'],
    [
      'name: x\nendpoints: []\ncollections: {a: {key: id, generate: {count: 1, fields: {b: {kind: text}}}}}',
      'collections.a.generate.fields.b.template',
    ],
  ])('is refused with the place: %s', (text, message) => {
    expect(() => parseSimulatorDocument(parse(text), 'shop.yml')).toThrow(message);
  });
});
