import {describe, expect, it} from 'vitest';

import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
import type {TableOptions} from '../../sdk/contract.ts';
import {defineConnector, type ConnectorDefinition} from '../../sdk/define-connector.ts';
import {previewTables} from './preview-session.ts';

/** Reads in partitions only. */
const parts: ConnectorDefinition = defineConnector({
  name: 'parts',
  spec: {displayName: 'Parts', description: 'A table in two parts.', connection: {}, table: {}},
  create: () => ({
    listTables: () => Promise.resolve(['rows']),
    getTableSchema: () => Promise.resolve(fromDdl('id BIGINT NOT NULL')),
    readTableMetadata: () => Promise.resolve({primaryKeys: ['id'], ingestionType: 'snapshot'}),
    readTable: () => {
      throw new Error('read by partitions');
    },
    isPartitioned: () => true,
    latestOffset: () => Promise.resolve({at: 2}),
    getPartitions: () => Promise.resolve({partitions: [{id: 1}, {id: 2}], volatile: false}),
    async *readPartition(_table, {id}) {
      yield [{id: Number(id)}];
    },
  }),
});

/** A table with a cursor that is a timestamp. */
const stamped: ConnectorDefinition = defineConnector({
  name: 'stamped',
  spec: {displayName: 'Stamped', description: 'Three rows, a day apart.', connection: {}, table: {}},
  create: () => ({
    listTables: () => Promise.resolve(['rows']),
    getTableSchema: () => Promise.resolve(fromDdl('id BIGINT NOT NULL, at TIMESTAMP')),
    readTableMetadata: (table) =>
      table === 'rows'
        ? Promise.resolve({primaryKeys: ['id'], cursorField: 'at', ingestionType: 'cdc'})
        : Promise.reject(new IngestError('UNKNOWN_TABLE', `There is no table "${table}".`)),
    async *readTable() {
      yield [1, 2, 3].map((id) => ({id, at: `2026-01-0${id}T00:00:00Z`}));
      return null;
    },
  }),
});

describe('a preview', () => {
  it('reads a table in partitions as a run does', async () => {
    const previews = previewTables({
      definition: parts,
      options: {},
      clock: systemClock,
      tables: [],
      tableOptions: {},
      limit: 5,
      signal: new AbortController().signal,
    });
    for await (const {rows, problems} of previews)
      expect({rows, problems}).toEqual({rows: [{id: 1}, {id: 2}], problems: []});
    expect.assertions(1);
  });

  it('takes the options of the framework as a run does, though the connector declares none', async () => {
    const preview = async (options: TableOptions): Promise<unknown> => {
      const previews = previewTables({
        definition: stamped,
        options: {},
        clock: systemClock,
        tables: [],
        tableOptions: {rows: options},
        limit: 5,
        signal: new AbortController().signal,
      });
      for await (const {rows, problems} of previews) return {ids: rows.map((row) => row['id']), problems};
      return null;
    };
    const all = {ids: [1, 2, 3], problems: []};
    expect(await preview({})).toEqual(all);
    expect(await preview({max_records_per_batch: 2})).toEqual(all);
    expect(await preview({start_timestamp: '2026-01-02T00:00:00+00:00'})).toEqual({ids: [2, 3], problems: []});
    expect(await preview({start_timestamp: 'yesterday'})).toMatchObject({
      problems: [
        'options: [INVALID_OPTION] rows: start_timestamp is no timestamp. Write it like 2026-01-31T12:00:00Z.',
      ],
    });
    expect(await preview({max_records_per_batch: 0})).toMatchObject({
      problems: [expect.stringContaining('must be an integer of at least 1') as string],
    });
    expect(await preview({window_seconds: 60})).toMatchObject({
      problems: [expect.stringContaining('there is no option "window_seconds"') as string],
    });
  });

  it('shows also the tables that have options, so that a misspelt one is seen', async () => {
    const previews = previewTables({
      definition: stamped,
      options: {},
      clock: systemClock,
      tables: [],
      tableOptions: {rws: {}},
      limit: 1,
      signal: new AbortController().signal,
    });
    const shown: unknown[] = [];
    for await (const {table, problems} of previews) shown.push([table, problems.length > 0]);
    expect(shown).toEqual([
      ['rows', false],
      ['rws', true],
    ]);
  });
});
