// Loads one table of an API into a lake whenever it is asked to, and says how long it took; built code in a process of its own, as users have it.
import {rm} from 'node:fs/promises';

import {connectors} from '../dist/connectors/index.js';
import {systemClock} from '../dist/core/clock.js';
import {openTestLake, runConnector} from '../dist/testkit/run-connector.js';

/** Nothing waits for a vendor's budget. */
const UNLIMITED = {
  requests_per_second: 1_000_000,
  requests_per_10_seconds: 1_000_000,
  searches_per_second: 1_000_000,
  export_requests_per_minute: 1_000_000,
};
/** Proofs have small pages; here they are as large as the vendor's. */
const PAGES = /page_size$/;

async function load({connector, table, source}) {
  const definition = await connectors[connector]();
  const lake = await openTestLake(undefined, {clock: clockFrom(source.nowMs)});
  try {
    const limits = Object.entries(UNLIMITED).filter(([name]) => Object.hasOwn(definition.spec.connection, name));
    const given = Object.entries(source.options).filter(([name]) => !PAGES.test(name));
    const configuration = {verify: {afterSnapshot: false, intervalHours: null}};
    const startedAt = performance.now();
    const end = await runConnector(lake, {
      definition,
      options: Object.fromEntries([...given, ...limits]),
      tables: [{source: table, options: source.tables[table], configuration}],
    });
    const elapsedMs = performance.now() - startedAt;
    const [flow] = end.flows;
    if (end.state !== 'COMPLETED' || flow === undefined) throw new Error(JSON.stringify([end.flows, end.notes]));
    return {elapsedMs, rowsInserted: flow.rowsInserted};
  } finally {
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  }
}

/** The source's time, going on as the machine's does. */
function clockFrom(nowMs) {
  const shift = nowMs - systemClock.nowMs();
  return {
    nowMs: () => systemClock.nowMs() + shift,
    nowMicros: () => systemClock.nowMicros() + BigInt(shift) * 1000n,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
  };
}

process.on('message', (job) => {
  load(job).then(
    (loaded) => process.send(loaded),
    (error) => process.send({error: error.stack}),
  );
});
