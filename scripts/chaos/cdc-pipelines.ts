import type {ChaosDatabase} from './cdc-database.ts';

/** A gateway of its own beside a pipeline that reads what it staged, and a pipeline that is its own gateway. */
export const FORMS = ['apart', 'alone'] as const;
export type Form = (typeof FORMS)[number];

/** A configuration with a pipeline of each form, named as the form and writing into a schema of that name, and the gateway `gateway`. */
export function bundleOf({schema, connection}: ChaosDatabase): object {
  const table = (source: string, configuration: object, destination = source): object => ({
    table: {
      source_schema: schema,
      source_table: source,
      destination_table: destination,
      // Comparing under writers that never rest takes a gateway that lives, and most of a run's time: one table does.
      table_configuration: {verify_after_snapshot: source === 'composite', ...configuration},
    },
  });
  const objects = [
    // Checkpoints are as frequent as a step that is to be reached.
    table('vectors', {
      deletion_vectors: 'true',
      max_records_per_batch: 300,
      table_properties: {'delta.checkpointInterval': '2'},
    }),
    table('rewritten', {deletion_vectors: 'false'}),
    table('composite', {table_properties: {'delta.enableChangeDataFeed': 'true'}}),
    table('counted', {scd_type: 'APPEND_ONLY'}, 'changes'),
    table('counted', {scd_type: 'SCD_TYPE_2'}, 'history'),
    table('marks', {}),
  ];
  const pipeline = (form: Form, source: object): object => ({
    catalog: 'main',
    schema: form,
    ingestion_definition: {...source, objects},
  });
  return {
    resources: {
      connections: {db: connection},
      pipelines: {
        gateway: {gateway_definition: {connection_name: 'db'}},
        apart: pipeline('apart', {ingestion_gateway_id: '${resources.pipelines.gateway.id}'}),
        alone: pipeline('alone', {connection_name: 'db', connector_type: 'CDC'}),
      },
    },
  };
}
