import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {seededRandom, type Random} from '../../src/core/clock.ts';
import type {FailpointName} from '../../src/core/failpoint.ts';
import {openTable} from '../../src/delta/table.ts';
import {runAndKill} from '../../src/testkit/kill.ts';
import {openTestLake} from '../../src/testkit/run-connector.ts';
import type {Command, Comparison, Maintenance, Scenario} from '../../src/testkit/scenario.ts';
import type {MysqlConnection} from '../../src/wire/mysql/connection.ts';
import {createMysqlDatabase, type MysqlDatabase} from '../../test/mysql-database.ts';
import {startMysql, type MysqlKind, type MysqlServer} from '../../test/mysql-server.ts';
import {CDC_FAILPOINTS} from './cdc.ts';
import {groupedRows} from './grouped-rows.ts';

const bin = fileURLToPath(new URL('../../bin/sluice', import.meta.url));

const TABLES = ['vectors', 'rewritten', 'composite'] as const;
const LONGEST_RUN_MS = 120_000;

/** The binary log of MySQL or MariaDB through gateway, staging and pipeline, killed while several writers change and empty tables. */
export async function openCdcMysqlScenario(kind: MysqlKind): Promise<Scenario> {
  const folder = await mkdtemp(join(tmpdir(), `sluice-chaos-${kind}-`));
  const server = await startMysql(kind);
  const database = await createMysqlDatabase(server.url, 'chaos');
  const scenario = new CdcMysqlScenario(folder, server, database);
  await scenario.prepare();
  return scenario;
}

class CdcMysqlScenario implements Scenario {
  readonly name: string;
  readonly runsToSettle = 1;
  readonly failpoints: readonly FailpointName[] = CDC_FAILPOINTS;
  readonly #folder: string;
  readonly #server: MysqlServer;
  readonly #database: MysqlDatabase;
  #writers: Promise<void> = Promise.resolve();
  #made = 0;

  constructor(folder: string, server: MysqlServer, database: MysqlDatabase) {
    this.name = `cdc-${server.kind}`;
    this.#folder = folder;
    this.#server = server;
    this.#database = database;
  }

  command(): Command {
    return {args: [bin, 'run', join(this.#folder, 'sluice.json'), '--lake', this.#lake(), '--json'], env: {}};
  }

  maintenance(random: Random): Maintenance | null {
    if (random() < 0.8) return null;
    const args = [bin, 'optimize', join(this.#folder, 'sluice.json'), '--lake', this.#lake()];
    return {args, env: {}, alone: false};
  }

  #lake(): string {
    return join(this.#folder, 'lake');
  }

  async prepare(): Promise<void> {
    await writeFile(join(this.#folder, 'sluice.json'), JSON.stringify(bundle(this.#server.port), null, 1));
    for (const table of TABLES) {
      const key = table === 'composite' ? 'id, part' : 'id';
      await this.#database.run(
        `create table ${table} (id bigint, part int not null, value varchar(80) not null, large mediumtext, amount decimal(12,2), primary key (${key}));
        insert into ${table} ${rows(1, 1000, `'value '`, 5)}; insert into ${table} ${rows(1001, 1000, `'value '`, 5)}`,
      );
    }
  }

  /** Writers begin; they are under way while the run that comes next is killed. */
  async change(random: Random): Promise<void> {
    await this.#writers;
    const seeds = [random(), random()];
    this.#writers = Promise.all(seeds.map((seed) => this.#write(seededRandom(Math.floor(seed * 2 ** 31))))).then(
      () => undefined,
    );
    this.#made++;
    // A table is another one now and then, so that there is a snapshot to read.
    if (this.#made % 4 === 0) await this.#recreate();
  }

  async compare(): Promise<readonly Comparison[]> {
    await this.#writers;
    // What the writers did while the run before this one ended.
    const {code, output} = await runAndKill({args: this.command().args, env: process.env, timeoutMs: LONGEST_RUN_MS});
    if (code !== 0) throw new Error(`The last run of ${this.name} ended with ${code}:\n${output.slice(-4000)}`);
    const found: Comparison[] = [];
    const lake = await openTestLake(this.#lake());
    try {
      for (const table of TABLES) {
        const columns = (hash: string, amount: string): string =>
          `concat(id, '/', part) as k, concat(value, '|', coalesce(${hash}, ''), '|', ${amount}) as v`;
        const source = await this.#database.texts(`select ${columns('sha2(large, 256)', 'amount')} from ${table}`);
        const landed = await openTable(lake.context, `main/cdc/${table}`);
        if (landed === null) throw new Error(`There is no table ${table}.`);
        const select = `select ${columns('sha256(large)', 'amount::varchar')} from (${await landed.readSql()})`;
        found.push({
          table,
          source: groupedRows(source.map(([k, v]) => ({k, v}))),
          destination: groupedRows(await lake.context.engine.query(select)),
        });
      }
    } finally {
      await lake[Symbol.asyncDispose]();
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writers.catch(() => undefined);
    await this.#database[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
    await rm(this.#folder, {recursive: true, force: true});
  }

  async #write(random: Random): Promise<void> {
    const signal = new AbortController().signal;
    await using session = await this.#database.connect();
    for (let turn = 0; turn < 30; turn++) {
      const statements = Array.from({length: 1 + Math.floor(random() * 6)}, () => statement(random));
      const end = random() < 0.1 ? 'rollback' : 'commit';
      // Emptying a table commits by itself.
      const text = random() < 0.006 ? `truncate ${tableOf(random)}` : `begin; ${statements.join('; ')}; ${end}`;
      await session.queries(text, signal).catch(() => undone(session, signal));
      await new Promise((resolve) => setTimeout(resolve, random() * 120));
    }
  }

  async #recreate(): Promise<void> {
    const signal = new AbortController().signal;
    await using session = await this.#database.connect();
    await session.queries(
      `create table again like rewritten; insert into again select * from rewritten;
      rename table rewritten to before_it, again to rewritten; drop table before_it`,
      signal,
    );
  }
}

/** The other writer was in the way, or had the key: undone as a whole. */
async function undone(session: MysqlConnection, signal: AbortSignal): Promise<void> {
  await session.queries('rollback', signal);
}

function tableOf(random: Random): string {
  return TABLES[Math.floor(random() * TABLES.length)] ?? 'vectors';
}

/** Rows with keys from a number on; one in so many has a large value. */
function rows(from: number, count: number, text: string, largeEvery: number): string {
  return `with recursive n as (select ${from} as g union all select g + 1 from n where g < ${from + count - 1})
    select g, g % 3, concat(${text}, g), if(g % ${largeEvery} = 0, repeat(sha2(g, 256), 60), null), g / 7 from n`;
}

function statement(random: Random): string {
  const table = tableOf(random);
  const id = 1 + Math.floor(random() * 4000);
  const span = Math.floor(random() * 40);
  const range = `id between ${id} and ${id + span}`;
  const kind = random();
  if (kind < 0.35) return `insert ignore into ${table} ${rows(id, span + 1, `'new '`, 4)}`;
  if (kind < 0.7) return `update ${table} set value = left(concat(value, '.'), 60), amount = amount + 1 where ${range}`;
  if (kind < 0.78) return `update ${table} set large = reverse(large) where ${range}`;
  if (kind < 0.88) return `update ${table} set id = id + ${5000 + Math.floor(random() * 5000)} where id = ${id}`;
  return `delete from ${table} where ${range}`;
}

function bundle(port: number): object {
  const table = (source: string, configuration: object): object => ({
    table: {source_schema: 'chaos', source_table: source, table_configuration: configuration},
  });
  const options = {host: '127.0.0.1', port, database: 'chaos', user: 'root', ssl_mode: 'disabled'};
  const definition = {
    connection_name: 'db',
    connector_type: 'CDC',
    objects: [
      table('vectors', {deletion_vectors: 'true', max_records_per_batch: 300}),
      table('rewritten', {deletion_vectors: 'false'}),
      table('composite', {}),
    ],
  };
  return {
    resources: {
      connections: {db: {connection_type: 'MYSQL', options}},
      pipelines: {chaos_cdc: {catalog: 'main', schema: 'cdc', ingestion_definition: definition}},
    },
  };
}
