import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import pg from 'pg';
import {expect} from 'vitest';

import type {RunUpdate} from '../src/pipeline/events.ts';
import type {RunResult} from '../src/runtime/api.ts';
import {loadGateways} from '../src/runtime/config/load-pipelines.ts';
import type {GatewaySpec} from '../src/runtime/config/resolve-gateway.ts';
import {ingest, type IngestOptions} from '../src/runtime/ingest.ts';
import {queryLake} from '../src/runtime/inspect.ts';
import type {PostgresServer} from './postgres.ts';

/** Where and as whom a pipeline connects, when that is not the server itself. */
export interface ShopLogin {
  readonly port?: number;
  readonly user?: string;
  readonly password?: string;
}

/** A lake, and a table `orders` of 500 rows in a database that is emptied first. Its pipeline follows the log, and is its own gateway. */
export class Shop implements AsyncDisposable {
  readonly lake: string;
  /** Notes of the runs so far, as `LEVEL CODE message`. */
  readonly notes: string[] = [];
  readonly #server: PostgresServer;
  readonly #folder: string;

  private constructor(server: PostgresServer, folder: string) {
    this.#server = server;
    this.#folder = folder;
    this.lake = join(folder, 'lake');
  }

  static async open(server: PostgresServer): Promise<Shop> {
    const shop = new Shop(server, await mkdtemp(join(tmpdir(), 'sluice-shop-')));
    await shop.dropSlots();
    await shop.sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    await shop.sql('CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric(12,2), note text)');
    await shop.sql(
      `INSERT INTO orders SELECT g, 'customer ' || g % 10, g * 1.5, repeat('n', g % 50) FROM generate_series(1, 500) g`,
    );
    return shop;
  }

  /** Runs statements in a session of their own: the server may have been another one before. */
  async sql(text: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const client = new pg.Client({host: '127.0.0.1', port: this.#server.port, user: 'postgres', database: 'postgres'});
    await client.connect();
    try {
      const {rows} = await client.query<Record<string, unknown>>(text);
      return rows;
    } finally {
      await client.end();
    }
  }

  /** Removes slots that nobody reads, and publications. */
  async dropSlots(): Promise<void> {
    await this.sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active');
    for (const {pubname} of await this.sql('SELECT pubname FROM pg_publication'))
      await this.sql(`DROP PUBLICATION ${String(pubname)}`);
  }

  /** A bundle with the pipeline `shop`. */
  bundle({
    login = {},
    definition = {},
    pipeline = {},
  }: {readonly login?: ShopLogin; readonly definition?: object; readonly pipeline?: object} = {}): object {
    const options = {
      host: '127.0.0.1',
      port: this.#server.port,
      database: 'postgres',
      user: 'postgres',
      password: 'x',
      sslmode: 'disable',
      connect_timeout_seconds: 5,
      ...login,
    };
    const objects = [{table: {source_schema: 'public', source_table: 'orders'}}];
    const ingestion = {connection_name: 'db', connector_type: 'CDC', objects, ...definition};
    return {
      resources: {
        connections: {db: {connection_type: 'POSTGRESQL', options}},
        pipelines: {shop: {catalog: 'main', schema: 'shop', ingestion_definition: ingestion, ...pipeline}},
      },
    };
  }

  /** One update, which must not fail. */
  async run(bundle: object = this.bundle(), options: IngestOptions = {}): Promise<RunResult> {
    const result = await ingest(bundle, {lake: this.lake, ...options, onUpdate: this.note});
    if (result.state !== 'COMPLETED')
      throw new Error(JSON.stringify([result.flows, this.notes], (_, value: unknown) => plain(value), 1));
    return result;
  }

  readonly note = (update: RunUpdate): void => {
    if (update.kind === 'note') this.notes.push(`${update.level} ${update.code} ${update.message}`);
  };

  /** The gateway that a bundle's pipeline runs itself. */
  async gateway(bundle: object = this.bundle()): Promise<GatewaySpec> {
    const {gateways} = await loadGateways({data: bundle, variables: {}, cwd: this.#folder, env: {}});
    const [gateway] = gateways;
    if (gateway === undefined) throw new Error('no gateway');
    return gateway;
  }

  async query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const options = {lake: this.lake, signal: new AbortController().signal, limit: 1_000_000};
    return (await queryLake(text, options)).rows;
  }

  /** Every row and column of the source is in the lake, and nothing else. */
  async expectEqual(table = 'orders', key = 'id'): Promise<void> {
    const {source, landed} = await this.#both(table, key);
    const [found, wanted] = [new Set(landed), new Set(source)];
    const lost = source.filter((line) => !found.has(line));
    const wrong = landed.filter((line) => !wanted.has(line));
    // Few of them: a table that differs as a whole is no easier to understand.
    expect({rows: landed.length, lost: lost.slice(0, 5), wrong: wrong.slice(0, 5)}).toEqual({
      rows: source.length,
      lost: [],
      wrong: [],
    });
  }

  /** Waits until every row and column of the source is in the lake. */
  async becomesEqual(table = 'orders', key = 'id'): Promise<void> {
    const differs = async (): Promise<boolean> => {
      const {source, landed} = await this.#both(table, key).catch(() => ({
        source: ['nothing to read yet'],
        landed: [],
      }));
      return source.join('\n') !== landed.join('\n');
    };
    await expect.poll(differs, {timeout: 60_000, interval: 500}).toBe(false);
  }

  async #both(
    table: string,
    key: string,
  ): Promise<{readonly source: readonly string[]; readonly landed: readonly string[]}> {
    const names = await this.sql(
      `SELECT column_name FROM information_schema.columns WHERE table_name = '${table}' ORDER BY ordinal_position`,
    );
    const columns = names.map(({column_name: name}) => String(name));
    const texts = (cast: string): string =>
      columns.map((column) => `${cast.replace('?', column)} AS ${column}`).join(', ');
    const lines = (rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] =>
      rows.map((row) => columns.map((column) => String(row[column] ?? '')).join('|'));
    const source = await this.sql(`SELECT ${texts('?::text')} FROM ${table} ORDER BY ${key}`);
    const landed = await this.query(`SELECT ${texts('CAST(? AS VARCHAR)')} FROM main.shop.${table} ORDER BY ${key}`);
    return {source: lines(source), landed: lines(landed)};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dropSlots();
    await rm(this.#folder, {recursive: true, force: true});
  }
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
