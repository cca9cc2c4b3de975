import {describe, expect, it} from 'vitest';

import {systemClock} from '../../core/clock.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
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
});
