import {runInNewContext} from 'node:vm';

import {IngestError} from '../../core/errors.ts';
import {typeToDdl} from '../../core/schema-ddl.ts';
import {parseEngineType, toDataType} from '../../engine/engine-type-text.ts';
import {DEFAULT_TABLE_CONFIGURATION, type ConnectionSpec, type PipelineSpec} from '../../pipeline/spec.ts';
import type {Connector} from '../../sdk/contract.ts';
import {qualifiedName} from '../../sdk/names.ts';
import {resolveOptions} from '../../sdk/options.ts';
import {openConnection, temporaryLake, type ConnectionSession} from '../connections/connection-session.ts';
import type {AgentParameters, AgentRows} from './run-operation.ts';

/** One look at a source. */
export interface SourceLook {
  readonly connection: ConnectionSpec;
  readonly parameters: AgentParameters;
  readonly signal: AbortSignal;
}

const DEFAULT_OBJECTS = 200;
const DEFAULT_ROWS = 50;
const MEMORY_MB = 256;
const SEARCH_CHARS = 200;
const SEARCH_MS = 250;

/** Tables and namespaces under a path, by name; a flat source has nothing under a path. @throws INVALID_OPTION for a wrong search */
export async function listObjects({connection, parameters, signal}: SourceLook): Promise<AgentRows> {
  const {path = [], search, limit = DEFAULT_OBJECTS} = parameters;
  await using session = await openConnection(connection, {signal});
  const all = (await objectsAt(session, path)).toSorted((left, right) => (left.full_path < right.full_path ? -1 : 1));
  const found = search === undefined ? all : matching(all, search);
  return {rows: found.slice(0, limit), truncated: found.length > limit};
}

interface SourceObject {
  readonly name: string;
  readonly type: 'table' | 'namespace';
  readonly full_path: string;
  readonly [column: string]: string;
}

async function objectsAt({open, ctx}: ConnectionSession, path: readonly string[]): Promise<readonly SourceObject[]> {
  const {connector} = open;
  const asTable = (name: string): SourceObject => ({name, type: 'table', full_path: qualifiedName([...path, name])});
  if (connector.listNamespaces === undefined)
    return path.length > 0
      ? []
      : (await connector.listTables(ctx)).map((name) => ({...asTable(name), full_path: name}));
  const namespaces = (await connector.listNamespaces(path.length === 0 ? null : path, ctx)).map(
    (inner): SourceObject => ({name: inner.at(-1) ?? '', type: 'namespace', full_path: qualifiedName(inner)}),
  );
  if (path.length === 0) {
    const tables = await connector.listTables(ctx);
    return [...namespaces, ...tables.map((name) => ({...asTable(name), full_path: name}))];
  }
  return [...namespaces, ...((await connector.listTablesInNamespace?.(path, ctx)) ?? []).map(asTable)];
}

/** Patterns come from outside: one that never ends is stopped. */
function matching(objects: readonly SourceObject[], search: string): readonly SourceObject[] {
  if (search.length > SEARCH_CHARS) throw badSearch('it is longer than 200 characters');
  try {
    const found: unknown = runInNewContext(
      'const pattern = new RegExp(search, "iu"); names.map((name) => pattern.test(name))',
      {search, names: objects.map((object) => object.full_path)},
      {timeout: SEARCH_MS},
    );
    const flags = Array.isArray(found) ? found : Array.from(Object(found) as ArrayLike<unknown>);
    return objects.filter((_object, index) => flags[index] === true);
  } catch (error) {
    throw badSearch('it is no regular expression, or takes too long', error);
  }
}

function badSearch(why: string, cause?: unknown): IngestError {
  return new IngestError('INVALID_OPTION', `The search cannot be used: ${why}.`, {
    fix: 'Write a simpler pattern.',
    ...(cause === undefined ? {} : {cause}),
  });
}

/** What is known of a table, as keys and values. @throws UNKNOWN_TABLE, INVALID_OPTION */
export async function objectMetadata({connection, parameters, signal}: SourceLook): Promise<AgentRows> {
  await using session = await openConnection(connection, {signal});
  const {connector, definition} = session.open;
  const table = tableName(connector, parameters.name, parameters.path ?? []);
  const options = resolveOptions(definition.spec.table, parameters.options ?? {}, `table "${table}"`);
  const metadata = await connector.readTableMetadata(table, options, session.ctx);
  const schema = await connector.getTableSchema(table, options, session.ctx);
  const estimate = await connector.estimate?.(table, options, session.ctx);
  const columns = schema.fields.map((field) => ({
    name: field.name,
    type: typeToDdl(field.type),
    nullable: field.nullable,
    ...(typeof field.metadata['comment'] === 'string' ? {comment: field.metadata['comment']} : {}),
  }));
  const values: Readonly<Record<string, unknown>> = {
    primary_key: metadata.primaryKeys,
    cursor_column: metadata.cursorField,
    ingestion_type: metadata.ingestionType,
    comment: metadata.comment,
    estimated_rows: estimate?.rows,
    columns,
  };
  const rows = Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{key, value: typeof value === 'string' ? value : JSON.stringify(value)}],
  );
  const wanted = parameters.metadata_key?.toLowerCase();
  return {rows: rows.filter(({key}) => wanted === undefined || key === wanted), truncated: false};
}

function tableName(connector: Connector, name: string | undefined, path: readonly string[]): string {
  if (name === undefined || name.trim() === '')
    throw new IngestError('INVALID_OPTION', 'The name of the table is missing.', {fix: 'Take one of list_objects.'});
  return connector.listNamespaces === undefined || path.length === 0 ? name : qualifiedName([...path, name]);
}

/** The first rows of a table, as they would land. @throws UNKNOWN_TABLE, UNKNOWN_COLUMN, INVALID_OPTION */
export async function readRows({connection, parameters, signal}: SourceLook): Promise<AgentRows> {
  const {previewTable} = await import('../preview.ts');
  await using place = await temporaryLake();
  const {limit = DEFAULT_ROWS, columns: wanted} = parameters;
  const result = await previewTable(previewSpec(connection, parameters), '*', {
    lake: place.lake,
    signal,
    memoryLimitMb: MEMORY_MB,
    threads: 1,
    limit,
  });
  const missing = wanted?.find((column) => !result.columns.includes(column));
  if (missing !== undefined)
    throw new IngestError('UNKNOWN_COLUMN', `The table has no column "${missing}".`, {
      fix: `It has ${result.columns.join(', ')}.`,
    });
  const columns = (wanted ?? result.columns).map((name) => {
    const engineType = result.types?.[result.columns.indexOf(name)] ?? '';
    return {name, type: typeToDdl(toDataType(parseEngineType(engineType))), engineType};
  });
  return {
    rows: result.rows.map((row) => Object.fromEntries(columns.map(({name}) => [name, row[name] ?? null]))),
    truncated: result.truncated,
    columns,
  };
}

function previewSpec(connection: ConnectionSpec, parameters: AgentParameters): PipelineSpec {
  const {table_name: table, schema_name: schema, catalog_name: catalog, options = {}} = parameters;
  if (table === undefined || table.trim() === '')
    throw new IngestError('INVALID_OPTION', 'table_name is missing.', {fix: 'Take one of list_objects.'});
  return {
    key: 'look',
    name: 'look',
    catalog: 'main',
    schema: 'default',
    connection,
    eventLogTable: 'event_log_look',
    objects: [
      {
        kind: 'table',
        path: 'read_table',
        sourceCatalog: null,
        // A flat source ignores one namespace, as a pipeline does; two mean a table that only their full name finds.
        sourceSchema: catalog === undefined ? (schema ?? null) : null,
        sourceTable:
          catalog === undefined ? table : qualifiedName([catalog, ...(schema === undefined ? [] : [schema]), table]),
        destinationCatalog: 'main',
        destinationSchema: 'default',
        destinationTable: 'look',
        configuration: DEFAULT_TABLE_CONFIGURATION,
        options,
      },
    ],
  };
}
