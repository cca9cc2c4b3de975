import type {JsonObject} from '../core/json-value.ts';
import type {SimulatorSpec} from './simulator-spec.ts';
import type {Simulator} from './simulator.ts';

/** A spec for a process of its own. */
export function things(count: number): SimulatorSpec {
  const rows = Array.from({length: count}, (_, id): JsonObject => ({id, text: 'x'.repeat(200)}));
  return {
    name: 'things',
    collections: {things: {key: 'id', rows}},
    endpoints: [
      {
        path: '/things',
        list: 'things',
        params: {page: {role: 'page'}, limit: {role: 'limit', default: 100}},
        paging: {style: 'page'},
        wrap: {records: 'data'},
        cache: true,
      },
    ],
  };
}

/** Deletes a row and says how many are left. */
export function remove(simulator: Simulator, id: number): number {
  simulator.collection('things').delete(id);
  return simulator.collection('things').rows().length;
}
