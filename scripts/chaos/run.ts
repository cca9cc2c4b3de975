import {appendFile, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import type {Random} from '../../src/core/clock.ts';
import type {FailpointName} from '../../src/core/failpoint.ts';
import {openTable} from '../../src/delta/table.ts';
import {openTestLake} from '../../src/testkit/run-connector.ts';
import type {Command, Comparison, Program, Scenario} from '../../src/testkit/scenario.ts';
import {startPostgres, type PostgresServer} from '../../test/postgres.ts';
import {groupedRows} from './grouped-rows.ts';
import {isOfMaintenance, maintainedTurn, type Candidate} from './maintained-turn.ts';

const bin = fileURLToPath(new URL('../../bin/sluice', import.meta.url));

/** Tables of the database: every way to apply rows. */
const TABLES = ['vectors', 'rewritten', 'log', 'snap'] as const;

/** PostgreSQL and files, every apply mode, killed while the sources change. */
export async function openRunScenario(): Promise<Scenario> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  const server = await startPostgres();
  const scenario = new RunScenario(folder, server);
  await scenario.prepare();
  return scenario;
}

/** Steps that `sluice run` comes by. */
export const RUN_FAILPOINTS: readonly FailpointName[] = [
  'read.page',
  'read.finished',
  'extract.partition-written',
  'apply.data-written',
  'apply.side-files-written',
  'apply.batch-file-written',
  'delta.commit-staged',
  'delta.commit-linked',
  'delta.commit-written',
  'delta.checkpoint-written',
  'delta.last-checkpoint-written',
  'pipeline.committed',
  'pipeline.acknowledged',
  'events.spooled',
  'events.committed',
  'verify.remembered',
  'optimize.bin-written',
];

class RunScenario implements Scenario {
  readonly name = 'run';
  readonly runsToSettle = 1;
  readonly failpoints = RUN_FAILPOINTS;
  readonly #folder: string;
  readonly #server: PostgresServer;
  readonly #lines = new Map<string, string[]>();
  #nextFile = 1;
  #nextLine = 1;

  constructor(folder: string, server: PostgresServer) {
    this.#folder = folder;
    this.#server = server;
  }

  undisturbed(): Command {
    const {configuration, lake} = this.#places();
    return {args: [bin, 'run', configuration, '--lake', lake, '--json'], env: {}};
  }

  turn(random: Random, step: string | null): readonly Program[] {
    const run = {name: 'run', ...this.undisturbed()};
    const isMaintained = isOfMaintenance(step) || random() < 0.5;
    return maintainedTurn(step, {run, maintenance: isMaintained ? this.#maintenance(random, step) : null});
  }

  #maintenance(random: Random, step: string | null): Candidate {
    const {configuration, lake} = this.#places();
    const [name, ...flags] =
      isOfMaintenance(step) || random() < 0.5 ? (['optimize'] as const) : (['vacuum', '--retain', '1'] as const);
    return {name, args: [bin, name, configuration, 'chaos_db', '--lake', lake, ...flags], env: {}};
  }

  #places(): {readonly configuration: string; readonly lake: string} {
    return {configuration: join(this.#folder, 'sluice.json'), lake: join(this.#folder, 'lake')};
  }

  async prepare(): Promise<void> {
    await mkdir(join(this.#folder, 'inputs', 'lines'), {recursive: true});
    await writeFile(
      join(this.#folder, 'sluice.json'),
      JSON.stringify(bundle(this.#server.port, join(this.#folder, 'inputs')), null, 1),
    );
    await this.#sql(async (client) => {
      for (const table of TABLES) {
        await client.query(
          `CREATE TABLE ${table} (id bigint PRIMARY KEY, value text, amount numeric(12,2), updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
        );
        await client.query(`INSERT INTO ${table} SELECT g, 'value ' || g, g / 7.0 FROM generate_series(1, 4000) g`);
        await client.query(`CREATE INDEX ON ${table} (updated_at)`);
      }
    });
  }

  async change(random: Random): Promise<void> {
    await this.#sql(async (client) => {
      for (const table of TABLES) {
        const {rows} = await client.query<{max: string}>(`SELECT coalesce(max(id), 0)::text AS max FROM ${table}`);
        const top = Number(rows[0]?.max ?? 0);
        const some = (share: number): number => Math.floor(random() * share);
        await client.query(
          `INSERT INTO ${table} SELECT ${top} + g, 'new ' || g, g / 3.0, clock_timestamp() FROM generate_series(1, ${1 + some(300)}) g`,
        );
        if (table === 'log') continue;
        const modulus = 7 + some(40);
        await client.query(
          `UPDATE ${table} SET value = value || '.', updated_at = clock_timestamp() WHERE id % ${modulus} = ${some(modulus)}`,
        );
        await client.query(`DELETE FROM ${table} WHERE id % 211 = ${some(211)}`);
      }
    });
    await this.#addFile(random);
  }

  async compare(): Promise<readonly Comparison[]> {
    const found: Comparison[] = [];
    const lake = await openTestLake(join(this.#folder, 'lake'));
    try {
      const read = async (root: string, select: string): Promise<ReadonlyMap<string, readonly string[]>> => {
        const table = await openTable(lake.context, root);
        if (table === null) throw new Error(`There is no table ${root}.`);
        return groupedRows(await lake.context.engine.query(`SELECT ${select} FROM (${await table.readSql()})`));
      };
      await this.#sql(async (client) => {
        for (const table of TABLES) {
          const {rows} = await client.query(
            `SELECT id::text AS k, concat(value, '|', amount::text, '|', (extract(epoch FROM updated_at) * 1000000)::bigint::text) AS v FROM ${table}`,
          );
          const columns =
            "id::VARCHAR AS k, concat(value, '|', amount::VARCHAR, '|', epoch_us(updated_at)::VARCHAR) AS v";
          found.push({table, source: groupedRows(rows), destination: await read(`main/chaos/${table}`, columns)});
        }
      });
      found.push({
        table: 'lines',
        source: this.#lines,
        destination: await read('main/chaos/lines', 'line::VARCHAR AS k, text AS v'),
      });
    } finally {
      await lake[Symbol.asyncDispose]();
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    await rm(this.#folder, {recursive: true, force: true});
  }

  async #addFile(random: Random): Promise<void> {
    const count = 1 + Math.floor(random() * 200);
    const file = join(this.#folder, 'inputs', 'lines', `part-${String(this.#nextFile++).padStart(5, '0')}.json`);
    let text = '';
    for (let line = 0; line < count; line++) {
      const key = String(this.#nextLine++);
      const value = `text ${Math.floor(random() * 1e9)}`;
      this.#lines.set(key, [value]);
      text += `${JSON.stringify({line: Number(key), text: value})}\n`;
    }
    await appendFile(file, text);
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

function bundle(port: number, inputs: string): object {
  const cursor = {cursor_columns: ['updated_at']};
  const table = (source: string, configuration: object): object => ({
    table: {
      source_schema: 'public',
      source_table: source,
      table_configuration: {max_deleted_percent: 100, ...configuration},
    },
  });
  const scanned = {...cursor, hard_deletion_sync_min_interval_in_seconds: 0};
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
        folder: {connection_type: 'FILES', options: {path: inputs}},
      },
      pipelines: {
        chaos_db: {
          catalog: 'main',
          schema: 'chaos',
          ingestion_definition: {
            connection_name: 'db',
            objects: [
              table('vectors', {
                deletion_vectors: 'true',
                query_based_connector_config: scanned,
                max_records_per_batch: 500,
              }),
              table('rewritten', {deletion_vectors: 'false', query_based_connector_config: scanned}),
              table('log', {scd_type: 'APPEND_ONLY', query_based_connector_config: cursor, max_records_per_batch: 100}),
              table('snap', {}),
            ],
          },
        },
        chaos_files: {
          catalog: 'main',
          schema: 'chaos',
          pipeline_spec: {
            connection_name: 'folder',
            objects: [{table: {source_table: 'lines', table_configuration: {max_files_per_batch: 2}}}],
          },
        },
      },
    },
  };
}
