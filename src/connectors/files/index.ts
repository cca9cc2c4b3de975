import {defineConnector, type ConnectorDefinition} from '../../sdk/index.ts';
import {createFilesConnector} from './connector.ts';
import {TABLE_OPTIONS} from './options.ts';

/** CSV, JSON and Parquet files in a folder of this machine. */
export const files: ConnectorDefinition = defineConnector({
  name: 'files',
  spec: {
    displayName: 'Files',
    description:
      'CSV, JSON and Parquet files in a folder: each is read once when it is new, or all of them as one snapshot.',
    connection: {
      path: {
        type: 'string',
        required: true,
        description: 'Absolute path of the folder. Tables are files, folders or globs below it.',
      },
    },
    table: TABLE_OPTIONS,
  },
  create: createFilesConnector,
});
