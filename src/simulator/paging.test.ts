import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {parseJson} from '../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {PagingSpec} from './paging-spec.ts';
import {isObject, valueAt} from './row-values.ts';
import type {EndpointSpec, ParamSpec} from './simulator-spec.ts';
import {simulate, type Simulator} from './simulator.ts';

const seed = Date.now() % 1_000_000;

interface Style {
  readonly paging: PagingSpec;
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** The address or the parameter of the next page, null after the last. */
  next(body: JsonObject, headers: Headers, rows: readonly JsonValue[]): string | null;
}

const limit: ParamSpec = {role: 'limit', default: 3, max: 5};

const STYLES: Readonly<Record<string, Style>> = {
  page: {
    paging: {style: 'page', next: {body: 'meta.next_page'}, whenLast: 'null'},
    params: {page: {role: 'page'}, limit},
    next: (body) => param('page', valueAt(body, 'meta.next_page')),
  },
  'page from 0 by Link': {
    paging: {style: 'page', linkHeader: true},
    params: {p: {role: 'page', first: 0}, limit},
    next: (_, headers) => /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1] ?? null,
  },
  offset: {
    paging: {style: 'offset', hasMore: {body: 'has_more'}, next: {body: 'offset'}},
    params: {offset: {role: 'offset'}, limit},
    next: (body) => param('offset', body['offset']),
  },
  cursor: {
    paging: {style: 'cursor', next: {body: 'paging.next.after'}},
    params: {after: {role: 'cursor'}, limit},
    next: (body) => param('after', valueAt(body, 'paging.next.after')),
  },
  'cursor in a header': {
    paging: {style: 'cursor', remembers: 'offset', next: {header: 'x-next'}},
    params: {c: {role: 'cursor'}, limit},
    next: (_, headers) => param('c', headers.get('x-next')),
  },
  'next address': {
    paging: {style: 'cursor', next: {body: 'next'}, nextAs: 'relativeUrl', whenLast: 'null'},
    params: {c: {role: 'cursor'}, limit},
    next: (body) => textOf(body['next']),
  },
  keyset: {
    paging: {style: 'keyset', hasMore: {body: 'has_more'}},
    params: {starting_after: {role: 'after'}, limit},
    next: (body, _, rows) => (body['has_more'] === true ? param('starting_after', keyOf(rows.at(-1))) : null),
  },
  odata: {
    paging: {style: 'odata'},
    params: {},
    next: (body) => textOf(body['@odata.nextLink']),
  },
};

describe('paging', () => {
  for (const [name, style] of Object.entries(STYLES)) {
    it(`gives every row once and in order: ${name}`, async () => {
      const row = fc.record({
        id: fc.integer({min: 1, max: 1e6}),
        at: fc.option(fc.integer({min: 0, max: 3})),
        name: fc.string({maxLength: 3}),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(row, {selector: ({id}) => id, maxLength: 23}),
          fc.integer({min: 1, max: 6}),
          fc.boolean(),
          async (rows, size, descending) => {
            await using simulator = await simulate({
              name: 'paging',
              collections: {things: {key: 'id', rows}},
              endpoints: [endpointOf(style, descending)],
            });
            const read = await readAll(simulator, style, size);
            const at = (one: {readonly at: number | null}): number => one.at ?? Infinity;
            const sign = descending ? -1 : 1;
            const compare = (a: (typeof rows)[number], b: (typeof rows)[number]): number =>
              (at(a) === at(b) ? a.id - b.id : at(a) < at(b) ? -1 : 1) * sign;
            expect(read).toEqual(rows.toSorted(compare));
          },
        ),
        {seed, numRuns: 15},
      );
    });
  }
});

function endpointOf({paging, params}: Style, descending: boolean): EndpointSpec {
  return {path: '/things', list: 'things', sort: [{field: 'at', descending}], paging, params, wrap: {records: 'items'}};
}

async function readAll(simulator: Simulator, style: Style, size: number): Promise<readonly JsonValue[]> {
  const all: JsonValue[] = [];
  const limitName = style.paging.style === 'odata' ? '$top' : 'limit';
  let url: string | null = `${simulator.url}/things?${limitName}=${size}`;
  for (let page = 0; url !== null; page++) {
    if (page > 50) throw new Error('Paging does not end.');
    const answer: Response = await fetch(url);
    expect(answer.status).toBe(200);
    const body: JsonValue = parseJson(await answer.text());
    if (!isObject(body) || !Array.isArray(body['items'])) throw new Error('No page.');
    const rows = body['items'] as readonly JsonValue[];
    expect(rows.length).toBeLessThanOrEqual(size);
    all.push(...rows);
    const next: string | null = style.next(body, answer.headers, rows);
    if (next === null) url = null;
    else if (next.startsWith('http')) url = next;
    else url = `${simulator.url}${next.startsWith('/') ? next : `/things?limit=${size}&${next}`}`;
  }
  return all;
}

function param(name: string, value: JsonValue | undefined): string | null {
  return value === undefined || value === null ? null : `${name}=${encodeURIComponent(String(value))}`;
}

function textOf(value: JsonValue | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function keyOf(row: JsonValue | undefined): JsonValue | undefined {
  return isObject(row) ? row['id'] : undefined;
}
