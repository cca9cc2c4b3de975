// What proves the connector: `sluice connector test docs/examples/earthquakes/earthquakes.yml` runs every suite with it.
import {parseRestDocument} from 'sluice/sdk';
import {simulate} from 'sluice/simulator';
import {collectionTable, simulatedSource, simulatorOf, type ConnectorProof, type ProofSource} from 'sluice/testkit';

import {catalogueApi, earthquakes} from './api.ts';
import connector from './earthquakes.yml';

const PAGE = 12;
const [sample] = earthquakes;
if (sample === undefined) throw new Error('The file holds no earthquake.');

/** The connector against 60 earthquakes, in pages of a size that the source caps. */
export const earthquakesProof: ConnectorProof = {
  definition: parseRestDocument(connector, 'earthquakes.yml'),
  async start({seed}) {
    const simulator = await simulate(catalogueApi({count: 60, maxPage: PAGE}), {seed});
    // A public API: there are no logins to be wrong or to expire.
    return simulatedSource(simulator, {
      connectionOptions: {base_url: simulator.url},
      withoutFaults: ['expired access tokens', 'an expired page cursor'],
    });
  },
  tables: {
    earthquakes: collectionTable({
      collection: 'earthquakes',
      pagingStyle: 'offset',
      pageSize: PAGE,
      record: ({properties, geometry, id}) => ({
        ...(properties as typeof sample.properties),
        id,
        geometry,
        depth_km: (geometry as typeof sample.geometry).coordinates[2],
      }),
      create: (n) => ({...sample, id: `new${n}`, properties: {...sample.properties, place: `Place ${n}`}}),
      change: (n) => ({properties: {mag: n / 100_000}}),
      mutations: {
        // A correction and a delete of one earthquake never share a millisecond.
        delete(source, count) {
          source.clock.advance(1);
          const collection = simulatorOf(source).collection('earthquakes');
          for (const row of collection.rows().slice(-count)) collection.delete(collection.keyOf(row));
        },
        recreate(source, count) {
          const collection = simulatorOf(source).collection('earthquakes');
          for (const {row} of collection.tombstones().slice(-count))
            collection.insert({...row, properties: {...(row['properties'] as object), status: 'reviewed'}});
        },
      },
      table: {
        tracksDeletes: true,
        writes: {
          async insert(source) {
            await send(source, 'POST', '/events', {...sample, id: 'written'});
            return {id: 'written'};
          },
          async update(source, {id}) {
            await send(source, 'PATCH', `/events/${String(id)}`, {properties: {mag: 4.5}});
            return {mag: 4.5};
          },
          delete: (source, {id}) => send(source, 'DELETE', `/events/${String(id)}`),
        },
      },
    }),
  },
  exclude: {
    'generic: refuses wrong credentials with AUTH_FAILED and shows no secret': 'the API is open to everybody',
  },
};

async function send(source: ProofSource, method: string, path: string, body?: object): Promise<void> {
  const {ok, status} = await fetch(`${String(source.connectionOptions['base_url'])}${path}`, {
    method,
    ...(body === undefined ? {} : {body: JSON.stringify(body), headers: {'content-type': 'application/json'}}),
  });
  if (!ok) throw new Error(`${method} ${path} was answered ${status}.`);
}
