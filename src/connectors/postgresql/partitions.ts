import type {Partition, PartitionPlan} from '../../sdk/index.ts';
import type {SourceTable} from './catalog.ts';
import {relationSql} from './catalog.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';

/** One part of a table under an exported snapshot: plain JSON, enough for any other instance of the connector. */
export interface TablePart extends Partition {
  /** Name of the exported snapshot. */
  readonly snapshot: string;
  /** The relation that holds the rows: the table, or a leaf of it. */
  readonly schema: string;
  readonly name: string;
  /** Blocks from `from` on and below `to` (null: to the end); null: all rows, and those of children. */
  readonly blocks: {readonly from: number; readonly to: number | null} | null;
  /** The columns that are read, with types: a reader that finds others stops. */
  readonly shape: string;
  /** Only rows that satisfy this SQL condition; null: all. */
  readonly condition: string | null;
}

/** Reads a partition that {@link planParts} made. */
export function toPart(partition: Partition): TablePart {
  return partition as TablePart;
}

/** The rows of a part as SQL after FROM. */
export function partSql({schema, name, blocks, condition}: TablePart): string {
  const relation = relationSql({schema, name});
  if (blocks === null) return condition === null ? relation : `${relation} where ${condition}`;
  const upper = blocks.to === null ? '' : ` and ctid < '(${blocks.to},0)'`;
  return `only ${relation} where ctid >= '(${blocks.from},0)'${upper}${condition === null ? '' : ` and (${condition})`}`;
}

/** What all parts of a plan share. */
export type PartTemplate = Pick<TablePart, 'snapshot' | 'shape' | 'condition'>;

/**
 * Cuts a table into ranges of blocks, leaves of partitioned tables and children each for themselves. What has no blocks of
 * its own (views, foreign tables), or must be read through its parent (row-level security, leaves without a grant), is
 * one part.
 */
export async function planParts(
  session: Session,
  table: SourceTable,
  {template, doing}: {readonly template: PartTemplate; readonly doing: Doing},
): Promise<Pick<PartitionPlan, 'partitions' | 'estimatedRows'>> {
  const whole: TablePart = {...template, schema: table.schema, name: table.name, blocks: null};
  const stores = (await session.query(storesSql(table.oid), doing)).map(toStore);
  const isKnown = table.kind !== 'v' && stores.every((store) => store.rows >= 0);
  const estimate = isKnown && {estimatedRows: stores.reduce((sum, store) => sum + store.rows, 0)};
  const inRanges =
    table.kind !== 'v' && table.kind !== 'f' && stores.length > 0 && stores.every((store) => store.readable);
  // Before version 14 every range of ctid scans the whole table.
  if (!inRanges || session.facts.versionNumber < 140_000) return {partitions: [whole], ...estimate};
  const blocks = stores.reduce((sum, store) => sum + store.blocks, 0);
  const wanted = Math.ceil(PART_BYTES / session.facts.blockBytes);
  const perPart = Math.max(wanted, Math.ceil(blocks / MAX_PARTS));
  const partitions = stores.flatMap((store) =>
    rangesOf(store, perPart).map((range) => ({...template, schema: store.schema, name: store.name, blocks: range})),
  );
  return {partitions, ...estimate};
}

/** Rows and bytes of a table as the catalog estimates them; null rows before the first ANALYZE. */
export async function estimateTable(
  session: Session,
  table: SourceTable,
  doing: Doing,
): Promise<{readonly rows?: number; readonly bytes?: number}> {
  const stores = (await session.query(storesSql(table.oid), doing)).map(toStore);
  if (stores.length === 0) return {};
  const rows = stores.reduce((sum, store) => sum + store.rows, 0);
  const bytes = stores.reduce((sum, store) => sum + store.bytes, 0);
  return stores.every((store) => store.rows >= 0) ? {rows, bytes} : {bytes};
}

const PART_BYTES = 32 << 20;
const MAX_PARTS = 512;

/** A relation that holds rows. */
interface Store {
  readonly schema: string;
  readonly name: string;
  readonly blocks: number;
  readonly bytes: number;
  /** -1: unknown. */
  readonly rows: number;
  /** Has blocks, and the user may read it past its parent. */
  readonly readable: boolean;
}

/** The table and everything under it that holds rows: leaves, children, or itself. */
function storesSql(oid: string): string {
  return `with recursive tree as (
      select ${oid}::oid as oid union select i.inhrelid from pg_inherits i join tree t on i.inhparent = t.oid)
    select n.nspname::text, c.relname::text, (pg_relation_size(c.oid) / current_setting('block_size')::int)::text,
      pg_table_size(c.oid)::text, ${ROWS_SQL},
      (c.relkind in ('r', 'm') and coalesce(am.amname = 'heap', false) and has_table_privilege(c.oid, 'SELECT')
        and not exists (select from tree t where row_security_active(t.oid)))::text
    from tree join pg_class c on c.oid = tree.oid join pg_namespace n on n.oid = c.relnamespace left join pg_am am on am.oid = c.relam
    where c.relkind in ('r', 'm', 'f') order by 1, 2`;
}

/** As the planner does: the density of the last ANALYZE times the size of now. */
const ROWS_SQL = `(case when c.relkind = 'f' then greatest(c.reltuples, -1) when pg_relation_size(c.oid) = 0 then 0
  when c.reltuples < 0 or c.relpages = 0 then -1
  else c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::int) end)::bigint::text`;

function toStore(row: readonly (string | null)[]): Store {
  const [schema, name, blocks, bytes, rows, readable] = row;
  return {
    schema: schema ?? '',
    name: name ?? '',
    blocks: Number(blocks ?? 0),
    bytes: Number(bytes ?? 0),
    rows: Number(rows ?? -1),
    readable: readable === 'true',
  };
}

/** The last range is open: rows may be added while the snapshot is old, and none of them is in it. */
function rangesOf(store: Store, perPart: number): readonly {readonly from: number; readonly to: number | null}[] {
  const count = Math.max(1, Math.ceil(store.blocks / perPart));
  return Array.from({length: count}, (_, index) => ({
    from: index * perPart,
    to: index === count - 1 ? null : (index + 1) * perPart,
  }));
}
