import {ingest} from '../dist/index.js';

const [port, lake, memory] = process.argv.slice(2);
const startedAt = performance.now();
const result = await ingest(
  {
    connections: {
      db: {
        connection_type: 'POSTGRESQL',
        options: {
          host: '127.0.0.1',
          port: Number(port),
          database: 'postgres',
          user: 'postgres',
          password: 'none',
          sslmode: 'disable',
        },
      },
    },
    catalog: 'main',
    schema: 'bench',
    ingestion_definition: {
      connection_name: 'db',
      objects: [
        {
          table: {
            source_schema: 'public',
            source_table: 'items',
            destination_catalog: 'main',
            destination_schema: 'bench',
            table_configuration: {
              query_based_connector_config: {cursor_columns: ['updated_at']},
              verify_after_snapshot: false,
            },
          },
        },
      ],
    },
  },
  {lake: lake ?? './lake', memoryLimitMb: Number(memory)},
);
if (result.state !== 'COMPLETED') throw new Error(JSON.stringify(result.flows));
process.send?.(performance.now() - startedAt);
