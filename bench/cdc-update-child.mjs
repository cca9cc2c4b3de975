import {runUpdateHere} from '../dist/runtime/update.js';

/** Runs one update as people do: the built package, in a process of its own. */
process.once('message', async ({spec, lake}) => {
  const startedAt = performance.now();
  const {state, flows} = await runUpdateHere(spec, {
    lake,
    signal: new AbortController().signal,
    tables: [],
    fullRefresh: false,
    onUpdate: () => undefined,
  });
  const [flow] = flows;
  if (state !== 'COMPLETED' || flow === undefined) throw new Error(JSON.stringify(flows));
  process.send?.({ms: performance.now() - startedAt, rows: flow.rowsRead});
  process.disconnect();
});
