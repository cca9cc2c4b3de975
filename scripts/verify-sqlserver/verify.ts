import {join} from 'node:path';

import {systemClock} from '../../src/core/clock.ts';
import type {Random} from '../../src/core/clock.ts';
import {ingest} from '../../src/runtime/ingest.ts';
import {queryLake} from '../../src/runtime/inspect.ts';
import {replayBareTable} from './bare-table.ts';
import type {RandomWrite, TypeProof, VerifiedServer, WrittenRow} from './verified-server.ts';
import {TABLES} from './verified-server.ts';

/** One thing that was checked. */
export interface Check {
  readonly name: string;
  /** Null when all is well. */
  readonly problem: string | null;
}

/** Runs pipelines over the tables while they are written to, and compares. */
export async function verifySqlServer(
  server: VerifiedServer,
  {folder, random, tell, rounds}: VerifyOptions,
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  const check = async (name: string, work: () => Promise<string | null>): Promise<void> => {
    const problem = await work().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    checks.push({name, problem});
    tell(`${problem === null ? 'ok    ' : 'FAILED'} ${name}${problem === null ? '' : `: ${problem}`}`);
  };
  let types: readonly TypeProof[] = [];
  await check('tables are made', async () => {
    types = await server.prepare();
    for (const table of [TABLES.keyed, TABLES.captured, TABLES.bare])
      await writeSome(server, table, {random, transactions: 30});
    return null;
  });
  if (checks.some(({problem}) => problem !== null)) return checks;
  const keyed: readonly string[] = [TABLES.keyed];
  const ways = [
    {name: 'change tracking', method: 'change_tracking', isCdc: true, written: keyed},
    ...(server.noCapture === null
      ? [
          {name: 'change data capture', method: 'cdc', isCdc: true, written: keyed},
          {name: 'both in one log', method: 'auto', isCdc: true, written: [...keyed, TABLES.captured]},
        ]
      : []),
    {name: 'queries', method: 'auto', isCdc: false, written: keyed},
  ];
  if (server.noCapture !== null) tell(`left out: change data capture, ${server.noCapture}`);
  for (const way of ways) {
    const lake = join(folder, way.name.replaceAll(' ', '_'));
    const run = (): Promise<string | null> => runPipeline(server, {lake, ...way});
    const writeAll = async (): Promise<void> => {
      await Promise.all(way.written.map((table) => writeSome(server, table, {random, transactions: 40})));
    };
    const compare = (): Promise<string | null> => differences(server, lake, way.written);
    await check(`${way.name}: a first run while rows are written`, async () => {
      const writing = writeAll();
      const problem = await run();
      await writing;
      return problem;
    });
    for (let round = 1; round <= rounds; round++) {
      await check(`${way.name}: run ${round} after more writes makes the rows of the source`, async () => {
        await writeAll();
        return (await run()) ?? compare();
      });
    }
    if (way.method !== 'change_tracking' && way.isCdc) {
      await check(`${way.name}: a table without a key has every row as often as the source`, () =>
        replayBareTable(server, way.method, {
          write: () => writeSome(server, TABLES.bare, {random, transactions: 60}),
          move: () => writeSome(server, TABLES.keyed, {random, transactions: 1}),
        }),
      );
    }
    if (way.method === 'auto' && way.isCdc) {
      for (const isOn of [false, true]) {
        const name = isOn ? 'change tracking' : 'its capture instance';
        await check(`${way.name}: a table goes over to ${name}`, async () => {
          await server.setTracking(TABLES.keyed, isOn);
          await writeAll();
          // The first run may end before the table is read anew.
          return (await run()) ?? (await run()) ?? compare();
        });
      }
    }
    await check(`${way.name}: every type landed as it should`, () => typeProblems(types, lake));
  }
  return checks;
}

/** How the script runs. */
export interface VerifyOptions {
  /** Empty; the lakes are made in it. */
  readonly folder: string;
  readonly random: Random;
  readonly tell: (line: string) => void;
  /** Runs of each pipeline after its first. */
  readonly rounds: number;
}

interface PipelineRun {
  readonly lake: string;
  readonly method: string;
  readonly isCdc: boolean;
  /** Tables that are written to. */
  readonly written: readonly string[];
}

/** Null when it completed. */
async function runPipeline(
  server: VerifiedServer,
  {lake, method, isCdc, written}: PipelineRun,
): Promise<string | null> {
  const objects = [TABLES.types, ...written].map((name) => ({table: {source_schema: 'dbo', source_table: name}}));
  const definition = {connection_name: 'db', objects, ...(isCdc && {connector_type: 'CDC'})};
  const options = {...server.options, change_method: method};
  const notes: string[] = [];
  const result = await ingest(
    {
      resources: {
        connections: {db: {connection_type: 'SQLSERVER', options}},
        pipelines: {verify: {catalog: 'main', schema: 'verify', ingestion_definition: definition}},
      },
    },
    {
      lake,
      onUpdate: (update) => {
        if (update.kind === 'note') notes.push(`${update.code} ${update.message}`);
      },
    },
  );
  if (result.state === 'COMPLETED') return null;
  const failures = result.flows.map(({flow, errorMessage}) =>
    errorMessage === undefined ? '' : `${flow}: ${errorMessage}`,
  );

  return [result.state, ...failures, ...notes].filter((text) => text !== '').join('; ');
}

async function differences(server: VerifiedServer, lake: string, tables: readonly string[]): Promise<string | null> {
  const textOf = (row: Readonly<Record<string, unknown>>): string =>
    JSON.stringify([row['a'], row['b'], row['v']].map((cell) => (cell === null ? null : String(cell))));
  const problems: string[] = [];
  for (const table of tables) {
    const sql = `select cast(a as varchar) as a, b, cast(v as varchar) as v from main.verify.${table}`;
    const landed = new Set((await query(lake, sql)).map(textOf));
    const source = new Set((await server.rows(table)).map((row) => textOf({...row})));
    const missing = [...source].filter((row) => !landed.has(row));
    const extra = [...landed].filter((row) => !source.has(row));
    if (missing.length === 0 && extra.length === 0) continue;
    const example = missing[0] ?? extra[0] ?? '';
    problems.push(
      `of ${source.size} rows of ${table} ${missing.length} are missing and ${extra.length} should not be there, e.g. ${example}`,
    );
  }
  return problems.length === 0 ? null : problems.join('; ');
}

async function typeProblems(types: readonly TypeProof[], lake: string): Promise<string | null> {
  const problems: string[] = [];
  for (const {column, lake: expression, lands} of types) {
    const rows = await query(lake, `select ${expression} as text from main.verify.${TABLES.types} order by id`);
    const found = rows.map(({text}) => (text === null || text === undefined ? null : String(text)));
    if (JSON.stringify(found) !== JSON.stringify(lands))
      problems.push(`${column} is ${JSON.stringify(found)} instead of ${JSON.stringify(lands)}`);
  }
  return problems.length === 0 ? null : problems.join('; ');
}

async function query(lake: string, sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return (await queryLake(sql, {lake, signal: new AbortController().signal, limit: 1_000_000})).rows;
}

async function writeSome(
  server: VerifiedServer,
  table: string,
  {random, transactions}: {readonly random: Random; readonly transactions: number},
): Promise<void> {
  const pick = (below: number): number => Math.floor(random() * below);
  for (let count = 0; count < transactions; count++) {
    const rows = await server.rows(table);
    const fresh = (): WrittenRow => ({
      a: pick(50),
      b: `k${pick(20)}`,
      v: pick(5) === 0 ? null : `${pick(100_000)}.${10 + pick(90)}`,
    });
    const writes = Array.from({length: 1 + pick(3)}, (): RandomWrite => {
      const old = rows[pick(rows.length)];
      if (old === undefined || pick(3) === 0) return {insert: fresh()};
      if (pick(3) === 0) return {delete: old};
      return {update: pick(3) === 0 ? fresh() : {...old, v: `${pick(1000)}.25`}, old};
    });
    await server.write(table, writes);
    await systemClock.sleep(2, new AbortController().signal);
  }
}
