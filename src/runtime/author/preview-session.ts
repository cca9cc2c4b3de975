import {isAbsolute} from 'node:path';

import type {Clock} from '../../core/clock.ts';
import type {OptionValue, TableOptions} from '../../sdk/contract.ts';
import type {ConnectorDefinition, ProxyOptions, SecretStore} from '../../sdk/define-connector.ts';
import {resolveConnectionOptions} from '../../sdk/options.ts';
import {lazyFiles} from '../lazy-files.ts';
import {readContextOf, silentLog} from '../read-context.ts';
import {previewSourceTable, type TablePreview} from './preview-connector.ts';

export type {TablePreview} from './preview-connector.ts';

/** What is previewed, and against what. */
export interface PreviewRequest {
  readonly definition: ConnectorDefinition;
  /** Options of the connection as written. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Default `dev`. */
  readonly connectionName?: string;
  /** Where tokens that rotate are kept. Absent: nowhere. */
  readonly secrets?: SecretStore;
  /** On the way to the source; default: none. */
  readonly proxies?: ProxyOptions;
  readonly clock: Clock;
  /** Default: all tables that the connector lists. */
  readonly tables: readonly string[];
  /** Options by table. */
  readonly tableOptions: Readonly<Record<string, TableOptions>>;
  /** Rows that are kept of each table. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

/** One request that the connector made, without secrets. */
export interface PreviewedExchange {
  readonly method: string;
  readonly url: string;
  /** Null when no answer came. */
  readonly status: number | null;
  readonly elapsedMs: number;
}

/** What the preview of one table gives beside the table. */
export interface PreviewedTable extends TablePreview {
  readonly requests: readonly PreviewedExchange[];
  readonly elapsedMs: number;
}

/** Connects and previews table by table, in the order given. @throws INVALID_OPTION for options of the connection; what listing the tables throws */
export async function* previewTables(request: PreviewRequest): AsyncGenerator<PreviewedTable, void> {
  const {definition, clock, signal} = request;
  const requests: PreviewedExchange[] = [];
  const connector = definition.create({
    options: resolveConnectionOptions(definition.spec, request.options, 'the connection'),
    clock,
    random: Math.random,
    connectionName: request.connectionName ?? 'dev',
    ...(request.secrets === undefined ? {} : {secrets: request.secrets}),
    ...(request.proxies === undefined ? {} : {proxies: request.proxies}),
    trace: ({request: {method, url}, response, elapsedMs}) =>
      requests.push({method, url, status: response?.status ?? null, elapsedMs}),
  });
  const {path} = request.options;
  await using files = lazyFiles(typeof path === 'string' && isAbsolute(path) ? [path] : []);
  try {
    const ctx = readContextOf({
      signal,
      clock,
      log: silentLog,
      files,
      triggerStartedAt: clock.nowMicros(),
      maxRows: Math.max(request.limit, 1),
    });
    const listed = request.tables.length > 0 ? request.tables : await connector.listTables(ctx);
    // A table that has options and is not listed is misspelt, or found by its name only: its preview says which.
    const more = request.tables.length > 0 ? [] : Object.keys(request.tableOptions);
    const tables = [...new Set([...listed, ...more])];
    for (const table of tables) {
      requests.length = 0;
      const startedAt = performance.now();
      const preview = await previewSourceTable({connector, spec: definition.spec, ctx}, table, {
        written: request.tableOptions[table] ?? {},
        limit: request.limit,
      });
      yield {...preview, requests: [...requests], elapsedMs: Math.round(performance.now() - startedAt)};
    }
  } finally {
    await connector.close?.();
  }
}
