import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import {seededRandom, type Random} from '../../src/core/clock.ts';
import type {FailpointName} from '../../src/core/failpoint.ts';
import {openTable} from '../../src/delta/table.ts';
import {runAndKill} from '../../src/testkit/kill.ts';
import {openTestLake} from '../../src/testkit/run-connector.ts';
import type {Command, Comparison, Maintenance, Scenario} from '../../src/testkit/scenario.ts';
import {startPostgres, type PostgresServer} from '../../test/postgres.ts';
import {groupedRows} from './grouped-rows.ts';

const bin = fileURLToPath(new URL('../../bin/sluice', import.meta.url));

const TABLES = ['vectors', 'rewritten', 'composite'] as const;
const LONGEST_RUN_MS = 120_000;

/** Steps that a run which follows a log comes by. */
export const CDC_FAILPOINTS: readonly FailpointName[] = [
  'gateway.prepared',
  'gateway.sealed',
  'gateway.acknowledged',
  'gateway.snapshot-finished',
  'staging.segment-written',
  'staging.entry-written',
  'staging.plan-written',
  'staging.chunk-written',
  'staging.chunk-described',
  'staging.snapshot-described',
  'read.page',
  'read.finished',
  'apply.data-written',
  'apply.batch-file-written',
  'delta.commit-staged',
  'delta.commit-linked',
  'delta.commit-written',
  'pipeline.committed',
  'pipeline.acknowledged',
];

/** The log of PostgreSQL through gateway, staging and pipeline, killed while several writers change and empty tables. */
export async function openCdcScenario(): Promise<Scenario> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-cdc-'));
  const server = await startPostgres({fsync: 'off'});
  const scenario = new CdcScenario(folder, server);
  await scenario.prepare();
  return scenario;
}

class CdcScenario implements Scenario {
  readonly name = 'cdc';
  readonly runsToSettle = 1;
  readonly failpoints = CDC_FAILPOINTS;
  readonly #folder: string;
  readonly #server: PostgresServer;
  #writers: Promise<void> = Promise.resolve();
  #made = 0;

  constructor(folder: string, server: PostgresServer) {
    this.#folder = folder;
    this.#server = server;
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
    await this.#sql(async (client) => {
      for (const table of TABLES) {
        await client.query(
          `CREATE TABLE ${table} (id bigint, part int NOT NULL, value text NOT NULL, large text, amount numeric(12,2), PRIMARY KEY (${table === 'composite' ? 'id, part' : 'id'}))`,
        );
        await client.query(
          `INSERT INTO ${table} SELECT g, g % 3, 'value ' || g, CASE WHEN g % 5 = 0 THEN ${LARGE} END, g / 7.0 FROM generate_series(1, 2000) g`,
        );
      }
    });
  }

  /** Writers begin; they are under way while the run that comes next is killed. */
  async change(random: Random): Promise<void> {
    await this.#writers;
    const seeds = [random(), random()];
    this.#writers = Promise.all(seeds.map((seed) => this.#write(seededRandom(Math.floor(seed * 2 ** 31))))).then(
      () => undefined,
    );
    // One change at least before the run begins; a table is new now and then, so that there is a snapshot to read.
    this.#made++;
    if (this.#made % 4 === 0) await this.#sql((client) => this.#recreate(client));
  }

  async compare(): Promise<readonly Comparison[]> {
    await this.#writers;
    // What the writers did while the run before this one ended.
    const {code, output} = await runAndKill({args: this.command().args, env: process.env, timeoutMs: LONGEST_RUN_MS});
    if (code !== 0) throw new Error(`The last run of cdc ended with ${code}:\n${output.slice(-4000)}`);
    const found: Comparison[] = [];
    const lake = await openTestLake(this.#lake());
    try {
      await this.#sql(async (client) => {
        for (const table of TABLES) {
          const key = `concat(id, '/', part)`;
          const value = (text: string): string => `concat(value, '|', md5(large), '|', ${text})`;
          const {rows} = await client.query(`SELECT ${key} AS k, ${value('amount::text')} AS v FROM ${table}`);
          const landed = await openTable(lake.context, `main/cdc/${table}`);
          if (landed === null) throw new Error(`There is no table ${table}.`);
          const select = `SELECT ${key} AS k, ${value('amount::VARCHAR')} AS v FROM (${await landed.readSql()})`;
          found.push({
            table,
            source: groupedRows(rows),
            destination: groupedRows(await lake.context.engine.query(select)),
          });
        }
      });
    } finally {
      await lake[Symbol.asyncDispose]();
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writers.catch(() => undefined);
    await this.#server.close();
    await rm(this.#folder, {recursive: true, force: true});
  }

  async #write(random: Random): Promise<void> {
    await this.#sql(async (client) => {
      for (let turn = 0; turn < 30; turn++) {
        const statements = Array.from({length: 1 + Math.floor(random() * 6)}, () => statement(random));
        const isUndone = random() < 0.1;
        await client.query(`BEGIN; ${statements.join('; ')}; ${isUndone ? 'ROLLBACK' : 'COMMIT'}`).catch(async () => {
          // The other writer was in the way, or had the key: undone as a whole.
          await client.query('ROLLBACK');
        });
        await new Promise((resolve) => setTimeout(resolve, random() * 120));
      }
    });
  }

  async #recreate(client: pg.Client): Promise<void> {
    await client.query(`BEGIN; CREATE TABLE again (LIKE rewritten INCLUDING ALL); INSERT INTO again SELECT * FROM rewritten;
      DROP TABLE rewritten; ALTER TABLE again RENAME TO rewritten; COMMIT`);
  }

  async #sql(work: (client: pg.Client) => Promise<void>): Promise<void> {
    const client = new pg.Client({host: '127.0.0.1', port: this.#server.port, user: 'postgres', database: 'postgres'});
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }
}

/** Large enough to be kept out of the row. */
const LARGE = `(SELECT string_agg(md5((g * x)::text), '') FROM generate_series(1, 120) x)`;

function statement(random: Random): string {
  const table = TABLES[Math.floor(random() * TABLES.length)] ?? 'vectors';
  const id = 1 + Math.floor(random() * 4000);
  const span = Math.floor(random() * 40);
  const range = `id BETWEEN ${id} AND ${id + span}`;
  const kind = random();
  if (kind < 0.35)
    return `INSERT INTO ${table} SELECT g, g % 3, 'new ' || g, CASE WHEN g % 4 = 0 THEN ${LARGE} END, ${Math.floor(random() * 1e6)} / 100.0 FROM generate_series(${id}, ${id + span}) g ON CONFLICT DO NOTHING`;
  if (kind < 0.7) return `UPDATE ${table} SET value = left(value || '.', 60), amount = amount + 1 WHERE ${range}`;
  if (kind < 0.78) return `UPDATE ${table} SET large = reverse(large) WHERE ${range}`;
  if (kind < 0.88) return `UPDATE ${table} SET id = id + ${5000 + Math.floor(random() * 5000)} WHERE id = ${id}`;
  if (kind < 0.995) return `DELETE FROM ${table} WHERE ${range}`;
  return `TRUNCATE ${table}`;
}

function bundle(port: number): object {
  const table = (source: string, configuration: object): object => ({
    table: {source_schema: 'public', source_table: source, table_configuration: configuration},
  });
  return {
    resources: {
      connections: {
        db: {
          connection_type: 'POSTGRESQL',
          options: {
            host: '127.0.0.1',
            port,
            database: 'postgres',
            user: 'postgres',
            password: 'none',
            sslmode: 'disable',
          },
        },
      },
      pipelines: {
        chaos_cdc: {
          catalog: 'main',
          schema: 'cdc',
          ingestion_definition: {
            connection_name: 'db',
            connector_type: 'CDC',
            objects: [
              table('vectors', {deletion_vectors: 'true', max_records_per_batch: 300}),
              table('rewritten', {deletion_vectors: 'false'}),
              table('composite', {}),
            ],
          },
        },
      },
    },
  };
}
