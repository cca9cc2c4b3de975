import type {PlainJson} from '../core/offset.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteLiteral} from '../engine/sql-types.ts';
import type {Ledger} from '../sdk/contract.ts';

/** A ledger of one trigger: reads committed entries, keeps new ones until the batch takes them. */
export interface OpenLedger extends Ledger {
  /** Entries put since the last take, in order; they go with the batch. */
  take(): readonly {readonly key: string; readonly value: string}[];
  /** What was taken is in `files` now: memory holds only what no batch has committed. */
  committed(): void;
}

const KEYS_PER_QUERY = 1000;

/**
 * Opens the ledger of a flow over the side files that its current batch names.
 * @param files names relative to the table's root, later ones win.
 */
export function openLedger(source: {
  readonly engine: Engine;
  readonly localPath: (name: string) => Promise<string>;
  readonly root: string;
  readonly files: () => readonly string[];
}): OpenLedger {
  let pending: {key: string; value: string}[] = [];
  let fresh = new Map<string, PlainJson>();
  let taken = new Map<string, PlainJson>();
  return {
    async get(keys: readonly string[]): Promise<ReadonlyMap<string, PlainJson>> {
      const found = new Map<string, PlainJson>();
      for (let at = 0; at < keys.length; at += KEYS_PER_QUERY) {
        for (const [key, value] of await query(source, keys.slice(at, at + KEYS_PER_QUERY))) found.set(key, value);
      }
      for (const key of keys) {
        const value = fresh.has(key) ? fresh.get(key) : taken.get(key);
        if (value !== undefined) found.set(key, value);
      }
      return found;
    },
    put(key: string, value: PlainJson): void {
      pending.push({key, value: JSON.stringify(value)});
      fresh.set(key, value);
    },
    take(): readonly {readonly key: string; readonly value: string}[] {
      const entries = pending;
      pending = [];
      for (const [key, value] of fresh) taken.set(key, value);
      fresh = new Map();
      return entries;
    },
    committed(): void {
      taken = new Map();
    },
  };
}

async function query(
  source: Parameters<typeof openLedger>[0],
  keys: readonly string[],
): Promise<readonly (readonly [string, PlainJson])[]> {
  const files = source.files();
  if (files.length === 0 || keys.length === 0) return [];
  const paths = await Promise.all(files.map((file) => source.localPath(`${source.root}/${file}`)));
  const list = paths.map(quoteLiteral).join(', ');
  const rows = await source.engine.query(
    `SELECT key, arg_max(value, file_index) AS value FROM read_parquet([${list}]) WHERE key IN (${keys.map(quoteLiteral).join(', ')}) GROUP BY key`,
  );
  return rows.map((row) => [String(row['key']), JSON.parse(String(row['value'])) as PlainJson] as const);
}
