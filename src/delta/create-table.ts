import {randomUUID} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import {schemaToJson} from '../core/schema-json.ts';
import {checkSchema, isNested, landedType, typesEqual} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import type {Action, Metadata} from './actions.ts';
import {checkChangeColumns} from './change-files.ts';
import {
  MAPPING_MODE,
  isMapped,
  mappingMode,
  renameFields,
  withColumnMetadata,
  withMaxColumnId,
  withoutColumnIds,
} from './column-mapping.ts';
import {encodeCommit, readCommit} from './commit-file.ts';
import {ENGINE_INFO} from './commit.ts';
import {isOurs} from './conflict.ts';
import type {CreateOptions, DeltaContext, TableSnapshot} from './delta-table.ts';
import {hasInCommitTimestamps, isFeatureProperty, leastProtocol} from './features.ts';
import {checkClustering, checkTargetFileSize, clusteringDomain} from './layout.ts';
import {firstSnapshot} from './load-log.ts';
import {commitName} from './log-names.ts';
import {listLog} from './log-segment.ts';

/**
 * Commits version 0 of a table that does not exist.
 * @throws COMMIT_CONFLICT when it exists; INVALID_SCHEMA; UNSUPPORTED_TABLE_FEATURE.
 */
export async function commitFirstVersion(
  context: DeltaContext,
  root: string,
  options: CreateOptions,
): Promise<TableSnapshot> {
  const deletionVectors = options.deletionVectors ?? options.configuration?.['delta.enableDeletionVectors'] === 'true';
  const {metadata, schema} = mapped(metadataOf(context, options, deletionVectors), options.schema);
  checkTableSchema(root, schema, metadata.partitionColumns);
  checkChangeColumns(root, {metadata, schema});
  const clustering = options.clusteringColumns ?? [];
  checkTargetFileSize(metadata);
  checkClustering(root, metadata, {schema, columns: clustering});
  const clustered = clustering.length > 0;
  const named = {...metadata, configuration: {...metadata.configuration, ...options.configuration}};
  const protocol = leastProtocol(root, {metadata: named, schema, deletionVectors, clustered});
  // A log that was cleaned up has no version 0 any more.
  if ((await listLog(context.store, root, {fromStart: false})) !== null) throw exists(root);
  const txnId = randomUUID();
  const nowMs = context.clock.nowMs();
  const commitInfo = {
    ...(hasInCommitTimestamps({protocol, metadata}) ? {inCommitTimestamp: nowMs} : {}),
    timestamp: nowMs,
    operation: 'CREATE TABLE',
    operationParameters: {
      isManaged: 'false',
      description: options.description ?? null,
      partitionBy: JSON.stringify(metadata.partitionColumns),
      ...(clustered ? {clusterBy: JSON.stringify(clustering)} : {}),
      properties: JSON.stringify(metadata.configuration),
    },
    isolationLevel: 'Serializable',
    isBlindAppend: true,
    operationMetrics: {},
    engineInfo: ENGINE_INFO,
    txnId,
  };
  const domains = clustered ? [{domainMetadata: clusteringDomain(schema, clustering)}] : [];
  const actions: readonly Action[] = [{commitInfo}, {protocol}, {metaData: metadata}, ...domains];
  await putFirst(context, root, {actions, txnId});
  return firstSnapshot(context, root, {version: 0, actions});
}

async function putFirst(
  context: DeltaContext,
  root: string,
  first: {readonly actions: readonly Action[]; readonly txnId: string},
): Promise<void> {
  let failure: unknown = null;
  try {
    if (await context.store.putIfAbsent(commitName(root, 0), encodeCommit(first.actions))) return;
  } catch (error) {
    failure = error;
  }
  const written = await readCommit({store: context.store, clock: context.clock, root}, 0);
  if (written !== null && isOurs(written, first.txnId)) return;
  throw written === null && failure !== null ? failure : exists(root);
}

function metadataOf(context: DeltaContext, options: CreateOptions, deletionVectors: boolean): Metadata {
  return {
    id: randomUUID(),
    ...(options.description === undefined ? {} : {description: options.description}),
    format: {provider: 'parquet', options: {}},
    schemaString: schemaToJson(options.schema),
    partitionColumns: options.partitionColumns ?? [],
    configuration: {
      ...Object.fromEntries(Object.entries(options.configuration ?? {}).filter(([key]) => !isFeatureProperty(key))),
      ...(deletionVectors ? {'delta.enableDeletionVectors': 'true'} : {}),
    },
    createdTime: context.clock.nowMs(),
  };
}

/** Maps columns where a property asks for it, or a name needs it that does not say `none`. */
function mapped(metadata: Metadata, schema: StructType): {readonly metadata: Metadata; readonly schema: StructType} {
  const isAsked = MAPPING_MODE in metadata.configuration;
  const withMode =
    isAsked || !needsMapping(schema)
      ? metadata
      : {...metadata, configuration: {...metadata.configuration, [MAPPING_MODE]: 'name'}};
  if (mappingMode(withMode) === 'none') return {metadata, schema};
  const columns = withColumnMetadata(withMode, [], withoutColumnIds(schema));
  return {metadata: withMaxColumnId({...withMode, schemaString: schemaToJson(columns)}, columns), schema: columns};
}

/**
 * Checks that a schema can be that of a table of ours.
 * @throws INVALID_SCHEMA naming the column, with what can be done about it.
 */
export function checkTableSchema(root: string, schema: StructType, partitionColumns: readonly string[]): void {
  checkSchema(schema, root);
  checkNames(root, schema);
  for (const field of schema.fields) {
    if (ENGINE_NAMES.has(field.name.toLowerCase()))
      throw invalid(root, `"${field.name}" is a name that the engine needs for itself`);
    if (!typesEqual(landedType(field.type), field.type))
      throw invalid(root, `"${field.name}" has the type variant, which lands as string`);
  }
  for (const name of partitionColumns) {
    const field = schema.fields.find((each) => each.name === name);
    if (field === undefined) throw invalid(root, `there is no column "${name}" to partition by`, PARTITIONS);
    if (isNested(field.type) || field.type === 'binary')
      throw invalid(root, `"${name}" has a type that cannot be partitioned by`, PARTITIONS);
  }
  if (new Set(partitionColumns).size === schema.fields.length)
    throw invalid(root, 'every column is a partition column', PARTITIONS);
}

const ENGINE_NAMES: ReadonlySet<string> = new Set(['file_row_number', 'file_index']);
/** Spark refuses these in the Parquet files of a table without column mapping. */
const REFUSED_CHARACTERS = /[ ,;{}()\n\t=]/;

/** @throws INVALID_SCHEMA for a name that only a table with column mapping can have. */
function checkNames(root: string, schema: StructType): void {
  const name = refusedName(schema);
  if (name === null || isMapped(schema)) return;
  const character = REFUSED_CHARACTERS.exec(name)?.[0];
  throw invalid(
    root,
    `the name "${name}" has the character ${JSON.stringify(character)}, and its columns are not mapped`,
    `Set table_properties: {"${MAPPING_MODE}": "name"}, or rename the column or leave it out (exclude_columns).`,
  );
}

/** True when a name cannot stand in the data files of other engines. */
function needsMapping(schema: StructType): boolean {
  return refusedName(schema) !== null;
}

function refusedName(schema: StructType): string | null {
  let refused: string | null = null;
  renameFields(schema, ({name}) => {
    if (refused === null && REFUSED_CHARACTERS.test(name)) refused = name;
    return name;
  });
  return refused;
}

const COLUMN = 'Rename the column in the source (a view will do) or leave it out with exclude_columns.';
const PARTITIONS = 'Name other columns in partition_columns: numbers, texts, dates, timestamps, not all of the table.';

function invalid(root: string, what: string, fix: string = COLUMN): IngestError {
  return new IngestError('INVALID_SCHEMA', `The schema of table ${root} cannot be used: ${what}.`, {
    fix,
    context: {table: root},
  });
}

function exists(root: string): IngestError {
  return new IngestError('COMMIT_CONFLICT', `Table ${root} cannot be made: it exists.`, {
    fix: 'Open it, or choose another name.',
    context: {table: root},
  });
}
