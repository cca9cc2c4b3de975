// `npm run demo`: real sources on this machine into a Delta lake, changed and read again, and verified.
import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {chmod, cp, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import {exampleApi, type ExampleApi} from '../../src/connectors/example/api.ts';
import {openEngine} from '../../src/engine/duckdb-engine.ts';
import {startPostgres, type PostgresServer} from '../../test/postgres.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const lake = join(root, 'demo-lake');
const data = join(root, 'node_modules', 'vega-datasets', 'data');
const bundle = join(here, 'sluice.yml');
const FLIGHTS = 300_000;

interface Demo {
  readonly server: PostgresServer;
  readonly inputs: string;
  readonly temp: string;
  readonly state: string;
}

async function main(): Promise<void> {
  const startedAt = performance.now();
  await rm(lake, {recursive: true, force: true});
  const temp = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  await using server = await startPostgres();
  try {
    const demo: Demo = {server, temp, inputs: join(temp, 'inputs'), state: join(temp, 'shop.json')};
    say('1. Sources: a PostgreSQL with 300,000 real flights and the airports, three files, a small web shop');
    await Promise.all([fillDatabase(demo), copyFiles(demo)]);

    say('2. First run: everything lands');
    const first = await sluice(demo, ['run']);

    say('3. The sources change: rows inserted, updated and deleted; new files arrive');
    const changes = await changeSources(demo);
    for (const line of changes) console.log(`   ${line}`);

    say('4. Second run: only the changes move');
    const second = await sluice(demo, ['run']);

    say(
      '5. Is it all there? Compared with the sources, row by row, without the code that loaded it (Parquet: by its engine)',
    );
    const verified =
      (await sluice(demo, ['verify', bundle, 'travel'])) === 0 &&
      (await sluice(demo, ['verify', bundle, 'files'])) === 0;

    const ok = first === 0 && second === 0 && verified;
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
    console.log(
      `\n${ok ? 'All of it landed; flights, airports and files are proven equal to their sources' : 'Something failed'}, in ${seconds} s. The lake stays in ${relative(process.cwd(), lake) || '.'}.\n`,
    );
    console.log('Go on with:');
    console.log(
      `  bin/sluice query --lake demo-lake "SELECT origin, count(*) AS flights, avg(delay) AS delay FROM travel.flights GROUP BY 1 ORDER BY 2 DESC LIMIT 5"`,
    );
    console.log('  bin/sluice history --lake demo-lake travel.flights');
    console.log('  bin/sluice init && bin/sluice run');
    if (!ok) process.exitCode = 1;
  } finally {
    await rm(temp, {recursive: true, force: true});
  }
}

function say(text: string): void {
  console.log(`\n== ${text}`);
}

/** Runs `bin/sluice` with the demo's variables and secrets; resolves to its exit code. */
function sluice(demo: Demo, args: readonly string[]): Promise<number> {
  const [command = 'run', ...rest] = args;
  const withFile = rest.length === 0 ? [command, bundle] : [command, ...rest];
  const variables = {port: String(demo.server.port), inputs: demo.inputs, state: demo.state};
  const flags = Object.entries(variables).flatMap(([name, value]) => ['--var', `${name}=${value}`]);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'bin', 'sluice'), ...withFile, '--lake', lake, ...flags], {
      stdio: 'inherit',
      env: {...process.env, DEMO_PG_PASSWORD: 'demo'},
    });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function fillDatabase({server, temp}: Demo): Promise<void> {
  await chmod(temp, 0o755);
  const flights = join(temp, 'flights.csv');
  const engine = await openEngine({memoryLimitMb: 512, threads: 2, tempFolder: join(temp, 'engine')});
  await engine.run(`COPY (SELECT row_number() OVER () AS flight_id, date, delay, distance, origin, destination, TIMESTAMPTZ '2026-01-01 00:00:00Z' + INTERVAL 1 SECOND * (row_number() OVER ()) AS updated_at
    FROM (SELECT * FROM read_parquet('${join(data, 'flights-3m.parquet')}') LIMIT ${FLIGHTS})) TO '${flights}' (FORMAT csv, HEADER true)`);
  await engine[Symbol.asyncDispose]();
  const airports = join(temp, 'airports.csv');
  await cp(join(data, 'airports.csv'), airports);
  await Promise.all([flights, airports].map((file) => chmod(file, 0o644)));
  await withDatabase(server, 'postgres', (client) => client.query('CREATE DATABASE travel'));
  await withDatabase(server, 'travel', async (client) => {
    await client.query(
      'CREATE TABLE flights (flight_id bigint PRIMARY KEY, date timestamp, delay integer, distance integer, origin text, destination text, updated_at timestamptz NOT NULL DEFAULT now())',
    );
    await client.query(
      'CREATE TABLE airports (iata text PRIMARY KEY, name text, city text, state text, country text, latitude double precision, longitude double precision)',
    );
    await client.query(`COPY flights FROM '${flights}' (FORMAT csv, HEADER true)`);
    await client.query(`COPY airports FROM '${airports}' (FORMAT csv, HEADER true)`);
    await client.query('CREATE INDEX ON flights (updated_at)');
    await client.query('ANALYZE');
  });
}

async function copyFiles({inputs}: Demo): Promise<void> {
  await mkdir(join(inputs, 'airports'), {recursive: true});
  await cp(join(data, 'flights-200k.json'), join(inputs, 'flights-200k.json'));
  await cp(join(data, 'flights-3m.parquet'), join(inputs, 'flights-3m.parquet'));
  await cp(join(data, 'airports.csv'), join(inputs, 'airports', 'airports.csv'));
}

/** Changes every source; returns what was done, in sentences. */
async function changeSources({server, inputs, state}: Demo): Promise<readonly string[]> {
  const done: string[] = [];
  await withDatabase(server, 'travel', async (client) => {
    const inserted = await client.query(
      `INSERT INTO flights SELECT ${FLIGHTS} + g, timestamp '2026-02-01' + g * interval '1 minute', g % 90, 100 + g, 'AMS', 'SFO', clock_timestamp() FROM generate_series(1, 500) g`,
    );
    const updated = await client.query(
      `UPDATE flights SET delay = delay + 1, updated_at = clock_timestamp() WHERE flight_id % 200 = 0 AND flight_id <= ${FLIGHTS}`,
    );
    const deleted = await client.query(`DELETE FROM flights WHERE flight_id % 3000 = 1 AND flight_id <= ${FLIGHTS}`);
    const renamed = await client.query(`UPDATE airports SET name = name || ' Airport' WHERE state = 'MS'`);
    done.push(
      `flights: ${inserted.rowCount} inserted, ${updated.rowCount} updated, ${deleted.rowCount} deleted; airports: ${renamed.rowCount} updated`,
    );
  });
  await writeFile(
    join(inputs, 'airports', 'airports-2026.csv'),
    'iata,name,city,state,country,latitude,longitude\nXX1,Sluice Field,Amsterdam,,NL,52.3,4.76\nXX2,Delta Strip,Utrecht,,NL,52.1,5.1\n',
  );
  done.push('files: one new CSV with 2 airports');
  done.push(changeShop(exampleApi({connectionName: 'shop', stateFile: state})));
  return done;
}

function changeShop(api: ExampleApi): string {
  const [first, second] = api.rows('orders');
  const [user] = api.rows('users');
  api.delete(`/tables/orders/records/${String(first?.['order_id'])}`);
  api.post('/tables/orders/records', {...second, status: 'returned'});
  api.post('/tables/users/records', {...user, name: 'A new name'});
  return 'shop: 1 order deleted, 1 order and 1 user updated';
}

async function withDatabase<Result>(
  server: PostgresServer,
  database: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({host: server.host, port: server.port, user: 'postgres', password: 'demo', database});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

if (!existsSync(join(root, 'dist', 'cli', 'main.js'))) {
  console.error('Sluice is not built yet: run npm ci first.');
  process.exitCode = 2;
} else {
  await main();
}
