import {defineConnector, type ConnectorDefinition} from '../../sdk/index.ts';
import {createExampleConnector} from './connector.ts';
import {TABLE_OPTIONS} from './table-options.ts';

/** An API in memory, for trying Sluice out and for its tests: every ingestion type and way of reading, with faults. */
export const example: ConnectorDefinition = defineConnector({
  name: 'example',
  spec: {
    displayName: 'Example',
    description:
      'A small web shop in memory: five tables, four ingestion types, deletes, nested types and faults, without any network.',
    connection: {
      username: {type: 'string', required: true, description: 'Any name.'},
      password: {type: 'string', required: true, secret: true, description: 'Any password.'},
      state_file: {
        type: 'string',
        description:
          'File that keeps the data between processes; made when it is not there. Without it, every process starts with the first data.',
      },
      seed: {type: 'integer', default: 42, description: 'Equal seeds give equal first data and faults.'},
      base_time: {
        type: 'string',
        description: 'Timestamp at which the first data begins; default: an hour before it is made.',
      },
      ties: {
        type: 'integer',
        default: 1,
        min: 1,
        description: 'Rows in a row of the first data that share a timestamp.',
      },
      fault_rate: {
        type: 'number',
        default: 0.03,
        min: 0,
        max: 0.9,
        description: 'Share of calls that fail with 429, 500 or 503.',
      },
    },
    table: TABLE_OPTIONS,
  },
  create: createExampleConnector,
});
