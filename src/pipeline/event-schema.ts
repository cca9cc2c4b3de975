import type {DataType, StructField, StructType} from '../core/types.ts';

/** Texts of `origin`, as Lakeflow names them; fields that only the platform has stay null. */
const ORIGIN_TEXTS = [
  'cloud',
  'region',
  'pipeline_id',
  'pipeline_name',
  'cluster_id',
  'update_id',
  'maintenance_id',
  'table_id',
  'dataset_name',
  'flow_id',
  'flow_name',
  'request_id',
  'uc_resource_id',
  'host',
  'materialization_name',
  'ingestion_source_catalog_name',
  'ingestion_source_schema_name',
  'ingestion_source_table_name',
  'ingestion_source_table_version',
  'ingestion_source_connection_name',
] as const;
const ORIGIN_NUMBERS = ['org_id', 'batch_id'] as const;

/** The keys of `origin`. */
export type OriginKey = (typeof ORIGIN_TEXTS)[number] | (typeof ORIGIN_NUMBERS)[number];

/** All keys of `origin`, in the table's order. */
export const ORIGIN_KEYS: readonly OriginKey[] = [...ORIGIN_TEXTS, ...ORIGIN_NUMBERS];

/**
 * The columns of the event log: Lakeflow's, in its order.
 * @see https://docs.databricks.com/aws/en/ldp/monitor-event-log-schema (August 2026)
 */
export const EVENT_SCHEMA: StructType = struct({
  id: 'string',
  sequence: struct({data_plane_id: struct({instance: 'string', seq_no: 'long'}), control_plane_seq_no: 'long'}),
  origin: struct({
    ...Object.fromEntries(ORIGIN_TEXTS.map((key) => [key, 'string' as const])),
    ...Object.fromEntries(ORIGIN_NUMBERS.map((key) => [key, 'long' as const])),
  }),
  timestamp: 'timestamp',
  message: 'string',
  level: 'string',
  maturity_level: 'string',
  error: struct({
    fatal: 'boolean',
    exceptions: list(
      struct({
        class_name: 'string',
        message: 'string',
        stack: list(
          struct({declaring_class: 'string', method_name: 'string', file_name: 'string', line_number: 'long'}),
        ),
      }),
    ),
  }),
  details: 'string',
  event_type: 'string',
});

/** The engine's type of a column as `read_json` is told it; timestamps are spooled as microseconds. */
export function spoolType(type: DataType): string {
  if (type === 'string') return 'VARCHAR';
  if (type === 'boolean') return 'BOOLEAN';
  if (typeof type === 'string') return 'BIGINT';
  if (type.type === 'array') return `${spoolType(type.elementType)}[]`;
  if (type.type === 'struct')
    return `STRUCT(${type.fields.map((field) => `"${field.name}" ${spoolType(field.type)}`).join(', ')})`;
  return 'VARCHAR';
}

function struct(fields: Readonly<Record<string, DataType>>): StructType {
  return {
    type: 'struct',
    fields: Object.entries(fields).map(([name, type]): StructField => ({name, type, nullable: true, metadata: {}})),
  };
}

function list(elementType: DataType): DataType {
  return {type: 'array', elementType, containsNull: true};
}
