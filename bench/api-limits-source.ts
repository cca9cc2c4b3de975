// The sources of `api-limits`: one that counts requests and answers late, and one that makes a million rows as they are asked for.
import type {JsonObject} from '../src/core/json-value.ts';
import {json, type Simulator, type SimulatorSpec} from '../src/simulator/index.ts';

const PROJECTS = 60;
const ITEMS = 90;

/** Projects with ten pages of items each, behind a budget. */
export function budgeted({perSecond}: {readonly perSecond: number}): SimulatorSpec {
  const projects = Array.from({length: PROJECTS}, (_, id): JsonObject => ({id}));
  const items = Array.from({length: PROJECTS * ITEMS}, (_, id): JsonObject => ({
    id,
    project: id % PROJECTS,
    name: `item ${id}`,
  }));
  return {
    name: 'budgeted',
    collections: {projects: {key: 'id', rows: projects}, items: {key: 'id', rows: items}},
    rateLimits: [{name: 'requests', max: perSecond, windowMs: 1000}],
    endpoints: [
      {path: '/projects', list: 'projects'},
      {
        path: '/projects/{project}/items',
        list: 'items',
        scope: {project: 'project'},
        params: {page: {role: 'page'}, limit: {role: 'limit', default: 10, max: 10}},
        paging: {style: 'page'},
      },
    ],
  };
}

/** Milliseconds between the first and the last request for items, and how many there were. */
export function pace(simulator: Simulator): {readonly elapsedMs: number; readonly requests: number} {
  const times = simulator.requests.filter(({path}) => path.endsWith('/items')).map(({atMs}) => atMs);
  return {elapsedMs: Math.max(...times) - Math.min(...times), requests: times.length};
}

const PAGE_ROWS = 1000;

/** `/rows?page=N`: pages of a thousand rows up to a number of them. */
export function endless({rows}: {readonly rows: number}): SimulatorSpec {
  return {
    name: 'endless',
    endpoints: [
      {
        path: '/rows',
        handler: (request) => {
          const from = (Number(request.query.get('page') ?? 1) - 1) * PAGE_ROWS;
          const count = Math.max(0, Math.min(PAGE_ROWS, rows - from));
          return json({rows: Array.from({length: count}, (_, index) => row(from + index))});
        },
      },
    ],
  };
}

function row(id: number): JsonObject {
  return {
    id,
    name: `customer-${id % 50_021}-name`,
    city: ['Amsterdam', 'Berlin', 'San Francisco', 'Tokyo'][id % 4] ?? '',
    amount: ((id * 31) % 1_000_000) / 100,
    updated_at: new Date(1_704_067_200_000 + id * 977).toISOString(),
    place: {zip: id % 99_999, street: `street ${id % 1000}`},
    tags: [`tag-${id % 7}`, `tag-${id % 11}`],
  };
}
