// The catalogue's API: a week of earthquakes as the USGS recorded them, from the npm package vega-datasets.
import file from '../../../node_modules/vega-datasets/data/earthquakes.json' with {type: 'json'};
import type {SimulatorSpec} from '../../../src/simulator/index.ts';

/** A GeoJSON feature. */
export type Earthquake = {
  readonly id: string;
  readonly type: string;
  readonly properties: Readonly<Record<string, string | number | null>>;
  readonly geometry: {readonly type: string; readonly coordinates: readonly number[]};
};

/** The earthquakes of the file, newest first. */
export const earthquakes: readonly Earthquake[] = file.features;

/** The API over the newest earthquakes; no page has more than `maxPage`, whatever a request asks for. */
export function catalogueApi(options: {readonly count?: number; readonly maxPage?: number} = {}): SimulatorSpec {
  const {count = earthquakes.length, maxPage = 500} = options;
  return {
    name: 'earthquakes',
    collections: {
      earthquakes: {
        key: 'id',
        rows: earthquakes.slice(0, count),
        updatedAt: {field: 'properties.updated', format: 'epochMs'},
        // A deleted earthquake stays in the catalogue, with a status that says so.
        deletes: {field: 'properties.status', value: 'deleted'},
      },
    },
    endpoints: [
      {
        path: '/query',
        list: 'earthquakes',
        params: {
          updated_since: {role: 'since', field: 'properties.updated'},
          order_by: {role: 'sort', options: {updated: 'properties.updated', time: '-properties.time'}},
          include_deleted: {role: 'deleted', values: {true: 'all', false: 'rows'}},
          limit: {role: 'limit', default: 100, max: maxPage},
          offset: {role: 'offset'},
        },
        strict: true,
        sort: [{field: 'properties.time', descending: true}],
        paging: {style: 'offset'},
        wrap: {records: 'features', extras: {type: 'FeatureCollection'}},
      },
      {path: '/events', create: 'earthquakes'},
      {method: 'PATCH', path: '/events/{id}', update: 'earthquakes', scope: {id: 'id'}},
      {method: 'DELETE', path: '/events/{id}', delete: 'earthquakes', scope: {id: 'id'}},
    ],
  };
}
