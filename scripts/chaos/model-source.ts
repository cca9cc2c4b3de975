import {readFileSync} from 'node:fs';
import {join} from 'node:path';

import {
  defineConnector,
  fromDdl,
  type Connector,
  type ConnectorDefinition,
  type JsonObject,
  type Offset,
  type Page,
  type ReadContext,
} from '../../src/sdk/index.ts';

/** One change of a table: line `n` of its log. Sequences are distinct, and do not ascend with the lines where the table says so. */
export interface ModelChange {
  readonly sequence: number;
  readonly id: number;
  readonly op: 'upsert' | 'delete';
  readonly value: string;
  /** Not tracked by the table with history. */
  readonly note: string;
}

/** The tables, one per way to apply rows. */
export const MODEL_TABLES = ['append', 'scd1', 'deletes', 'scan', 'history', 'snap', 'snap_history', 'bad'] as const;

/** The name of a table. */
export type ModelTable = (typeof MODEL_TABLES)[number];

/** Tables whose changes arrive out of order; their deletes come by a way of their own. */
export const UNORDERED: ReadonlySet<string> = new Set(['deletes', 'history']);

const SCHEMA = fromDdl('id BIGINT, sequence BIGINT NOT NULL, value STRING, note STRING, gone BOOLEAN');
const PAGE_ROWS = 40;

/** Reads the log of a table; a line that is not whole yet is none. */
export function readLog(folder: string, table: string): readonly ModelChange[] {
  const text = readFileSync(join(folder, `${table}.jsonl`), 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ModelChange);
}

/** The rows of a table after some of its changes: by the greatest sequence of each key. */
export function stateOf(changes: readonly ModelChange[]): ReadonlyMap<number, ModelChange> {
  const newest = new Map<number, ModelChange>();
  for (const change of changes) {
    const known = newest.get(change.id);
    if (known === undefined || known.sequence < change.sequence) newest.set(change.id, change);
  }
  return new Map([...newest].filter(([, change]) => change.op === 'upsert'));
}

/** A source whose tables are logs in files: read from anywhere, again and again, in pages that carry offsets. */
export function modelConnector(folder: string): ConnectorDefinition {
  return defineConnector({
    name: 'model',
    spec: {displayName: 'Model', description: 'Logs of changes in files.', connection: {}, table: {}},
    create: () => new ModelConnector(folder),
  });
}

class ModelConnector implements Connector {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  listTables(): Promise<readonly string[]> {
    return Promise.resolve([...MODEL_TABLES]);
  }

  getTableSchema(): Promise<typeof SCHEMA> {
    return Promise.resolve(SCHEMA);
  }

  readTableMetadata(table: string): ReturnType<Connector['readTableMetadata']> {
    const keyed = {primaryKeys: ['id'], bounded: true};
    if (table === 'append') return Promise.resolve({primaryKeys: [], ingestionType: 'append', bounded: true});
    if (table === 'snap' || table === 'snap_history') return Promise.resolve({...keyed, ingestionType: 'snapshot'});
    const ingestionType = UNORDERED.has(table) ? 'cdc_with_deletes' : 'cdc';
    return Promise.resolve({...keyed, cursorField: 'sequence', ingestionType});
  }

  readTable(
    table: string,
    start: Offset | null,
    _options: unknown,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    const log = readLog(this.#folder, table);
    if (table === 'snap' || table === 'snap_history') return readSnapshot(log, start, ctx);
    return readChanges(log, start, {ctx, op: table === 'scd1' || table === 'bad' ? null : 'upsert'});
  }

  readTableDeletes(
    table: string,
    start: Offset | null,
    _options: unknown,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    return readChanges(readLog(this.#folder, table), start, {ctx, op: 'delete'});
  }

  async *scanKeys(table: string): ReturnType<NonNullable<Connector['scanKeys']>> {
    const ids = [...stateOf(readLog(this.#folder, table)).keys()];
    yield await Promise.resolve({
      schema: fromDdl('id BIGINT'),
      rowCount: ids.length,
      columns: [{kind: 'fixed', data: BigInt64Array.from(ids.map(BigInt)), validity: null}],
    });
  }
}

function rowOf({sequence, id, op, value, note}: ModelChange): JsonObject {
  return {id: id < 0 ? null : id, sequence, value, note, gone: op === 'delete'};
}

/** Lines from the offset on. */
async function* readChanges(
  log: readonly ModelChange[],
  start: Offset | null,
  {ctx, op}: {readonly ctx: ReadContext; readonly op: ModelChange['op'] | null},
): AsyncGenerator<Page, Offset | null> {
  let line = typeof start?.['line'] === 'number' ? start['line'] : 0;
  const last = Math.min(log.length, line + ctx.limits.maxRows);
  while (line < last) {
    const changes = log.slice(line, Math.min(last, line + PAGE_ROWS));
    line += changes.length;
    const rows = changes.filter((change) => op === null || change.op === op).map(rowOf);
    yield await Promise.resolve({kind: 'records', rows, offset: {line}});
  }
  return {line};
}

/** The rows as they were when the snapshot began, by key: the offset remembers both. */
async function* readSnapshot(
  log: readonly ModelChange[],
  start: Offset | null,
  ctx: ReadContext,
): AsyncGenerator<Page, Offset | null> {
  const at = typeof start?.['at'] === 'number' ? start['at'] : log.length;
  const after = typeof start?.['after'] === 'number' ? start['after'] : Number.NEGATIVE_INFINITY;
  const rows = [...stateOf(log.slice(0, at)).values()]
    .filter(({id}) => id > after)
    .sort((left, right) => left.id - right.id)
    .slice(0, ctx.limits.maxRows);
  let offset = start;
  for (let from = 0; from < rows.length; from += PAGE_ROWS) {
    const page = rows.slice(from, from + PAGE_ROWS);
    offset = {at, after: page.at(-1)?.id ?? 0};
    yield await Promise.resolve({kind: 'records', rows: page.map(rowOf), offset});
  }
  return rows.length === 0 ? null : offset;
}
