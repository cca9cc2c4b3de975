// Serves the catalogue on this machine until it is stopped: node --import tsx serve.ts [port]
// In a project of your own the import is 'sluice/simulator'.
import {simulate} from '../../../src/simulator/index.ts';
import {catalogueApi, earthquakes} from './api.ts';

const port = Number(process.argv[2] ?? 8765);
const {url} = await simulate(catalogueApi(), {port, clock: {nowMs: () => Date.now()}});
console.log(`${earthquakes.length} earthquakes at ${url}/query`);
