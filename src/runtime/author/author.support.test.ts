import {mkdir, mkdtemp, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import type {IngestError} from '../../core/errors.ts';

/** A connector with one table, in two files. */
export const TINY: Readonly<Record<string, string>> = {
  'package.json': '{"name": "sluice-tiny", "version": "1.2.3", "peerDependencies": {"sluice": "^0.1.0"}}\n',
  'table.ts': "export const TABLE = 'rows';\n",
  'index.ts': `
import {defineConnector, fromDdl, IngestError, type ConnectorDefinition} from 'sluice/sdk';
import {TABLE} from './table.ts';

const connector: ConnectorDefinition = defineConnector({
  name: 'tiny',
  spec: {displayName: 'Tiny', description: 'One table.', connection: {host: {type: 'string', description: 'Host.'}}, table: {}},
  create: (context) => ({
    listTables: () => Promise.resolve([TABLE, ...Object.keys(context.options)]),
    getTableSchema: () => Promise.resolve(fromDdl('id BIGINT NOT NULL')),
    readTableMetadata: () => Promise.reject(new IngestError('UNKNOWN_TABLE', 'No such table.')),
    async *readTable() { yield [{id: 1}]; return null; },
  }),
});
export default connector;
`,
};

/** Writes files into a new folder below `parent` and gives its path. */
export async function writeFolder(parent: string, files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(parent, 'c-'));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), {recursive: true});
    await writeFile(join(root, name), text);
  }
  return root;
}

/** How a promise fails, without the paths of `folder`. */
export async function failureOf(
  promise: Promise<unknown>,
  folder: string,
): Promise<{readonly code?: string; readonly message: string; readonly fix?: string}> {
  return promise.then(
    () => ({message: 'it did not fail'}),
    (error: IngestError) => ({
      code: error.code,
      message: error.message.replaceAll(folder, ''),
      ...(error.fix === undefined ? {} : {fix: error.fix}),
    }),
  );
}
