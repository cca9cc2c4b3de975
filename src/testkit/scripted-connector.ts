import type {JsonObject} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import type {StructType} from '../core/types.ts';
import type {Connector, IngestionType, Page, ReadContext, TableMetadata} from '../sdk/contract.ts';
import {defineConnector, type ConnectorDefinition} from '../sdk/define-connector.ts';

/** What one call of a scripted table answers. */
export interface ScriptedCall {
  readonly pages: readonly Page[];
  readonly end: Offset | null;
  /** Thrown after the pages, instead of returning `end`. */
  readonly fails?: Error;
}

/** A table that answers as its script says; the script is asked again at every call, so tests change it between runs. */
export interface ScriptedTable {
  schema: StructType;
  readonly ingestionType: IngestionType;
  readonly primaryKeys?: readonly string[];
  readonly cursorField?: string;
  readonly metadata?: Partial<TableMetadata>;
  /** Answers `readTable`. */
  read: (start: Offset | null, ctx: ReadContext) => ScriptedCall;
  /** Answers `readTableDeletes`; without it there are none. */
  deletes?: (start: Offset | null, ctx: ReadContext) => ScriptedCall;
}

/** A connector made of scripts, and how often each of its generators was cleaned up. */
export interface ScriptedConnector {
  readonly definition: ConnectorDefinition;
  readonly connector: Connector;
  /** How many generators have ended, by themselves or cut off. */
  readonly cleanups: () => number;
}

/** A connector without a source: for tests of the framework. */
export function scriptedConnector(tables: Readonly<Record<string, ScriptedTable>>): ScriptedConnector {
  let cleanups = 0;
  const tableOf = (name: string): ScriptedTable => {
    const table = tables[name];
    if (table === undefined) throw new Error(`no script for ${name}`);
    return table;
  };
  async function* play(call: ScriptedCall): AsyncGenerator<Page, Offset | null> {
    try {
      await Promise.resolve();
      for (const page of call.pages) yield page;
      if (call.fails !== undefined) throw call.fails;
      return call.end;
    } finally {
      cleanups++;
    }
  }
  const connector: Connector = {
    listTables: () => Promise.resolve(Object.keys(tables)),
    getTableSchema: (name) => Promise.resolve(tableOf(name).schema),
    readTableMetadata: (name) => {
      const {ingestionType, primaryKeys = [], cursorField, metadata} = tableOf(name);
      return Promise.resolve({
        primaryKeys,
        ingestionType,
        bounded: true,
        ...(cursorField === undefined ? {} : {cursorField}),
        ...metadata,
      });
    },
    readTable: (name, start, _options, ctx) => play(tableOf(name).read(start, ctx)),
    readTableDeletes: (name, start, _options, ctx) =>
      play(tableOf(name).deletes?.(start, ctx) ?? {pages: [], end: start}),
  };
  const definition = defineConnector({
    name: 'scripted',
    spec: {displayName: 'Scripted', description: 'Answers as a test says.', connection: {}, table: {}},
    create: () => connector,
  });
  return {definition, connector, cleanups: () => cleanups};
}

/**
 * A script over batches of records: call `n` answers batch `n` and moves `{n}` on; after the last the offset stands still.
 * The array may grow between runs.
 */
export function batches(all: readonly (readonly JsonObject[])[]): (start: Offset | null) => ScriptedCall {
  return (start) => {
    const next = typeof start?.['n'] === 'number' ? start['n'] : 0;
    const rows = all[next];
    return rows === undefined ? {pages: [], end: start ?? {n: 0}} : {pages: [rows], end: {n: next + 1}};
  };
}
