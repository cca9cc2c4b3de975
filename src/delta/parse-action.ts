import type {
  Action,
  AddCdcFile,
  AddFile,
  CommitInfo,
  DeletionVectorDescriptor,
  DomainMetadata,
  Metadata,
  Protocol,
  RemoveFile,
  TxnAction,
} from './actions.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads the actions of a parsed line of a commit, or of a row of a checkpoint, where absent actions are null. Kinds of
 * action that we do not know give nothing, as the protocol asks.
 * @throws TypeError naming the field that is missing or of a wrong type.
 */
export function parseActions(line: unknown): readonly Action[] {
  const found: Action[] = [];
  for (const [kind, value] of Object.entries(objectOf(line, 'line'))) {
    const parse = value === null ? undefined : PARSERS[kind];
    if (parse !== undefined) found.push(parse(objectOf(value, kind)));
  }
  return found;
}

const PARSERS: Readonly<Record<string, (value: Json) => Action>> = {
  add: (value) => ({add: parseAdd(value)}),
  remove: (value) => ({remove: removeOf(value)}),
  cdc: (value) => ({cdc: cdcOf(value)}),
  metaData: (value) => ({metaData: metadataOf(value)}),
  protocol: (value) => ({protocol: protocolOf(value)}),
  txn: (value) => ({txn: txnOf(value)}),
  domainMetadata: (value) => ({domainMetadata: domainOf(value)}),
  commitInfo: (value) => ({commitInfo: value as CommitInfo}),
};

/** Reads the fields of an `add` action; null and missing say the same. @throws TypeError as {@link parseActions}. */
export function parseAdd(value: Readonly<Record<string, unknown>>): AddFile {
  return {
    path: text(value, 'path'),
    partitionValues: nullableTexts(value, 'partitionValues'),
    size: numeric(value, 'size'),
    modificationTime: optionalNumber(value, 'modificationTime') ?? 0,
    dataChange: value['dataChange'] !== false,
    ...present('stats', optionalText(value, 'stats') ?? countText(value['stats_parsed'])),
    ...present('tags', optionalTexts(value, 'tags')),
    ...present('deletionVector', vectorOf(value)),
    ...present('baseRowId', optionalNumber(value, 'baseRowId')),
    ...present('defaultRowCommitVersion', optionalNumber(value, 'defaultRowCommitVersion')),
    ...present('clusteringProvider', optionalText(value, 'clusteringProvider')),
  };
}

/** Of statistics that a checkpoint has as columns only, the number of rows; bounds cost time alone when they are not known. */
function countText(statistics: unknown): string | undefined {
  const rowCount = isObject(statistics) ? statistics['numRecords'] : null;
  return typeof rowCount === 'number' ? JSON.stringify({numRecords: rowCount, tightBounds: false}) : undefined;
}

function removeOf(value: Json): RemoveFile {
  const hasPartition = isObject(value['partitionValues']);
  return {
    path: text(value, 'path'),
    dataChange: value['dataChange'] !== false,
    ...present('deletionTimestamp', optionalNumber(value, 'deletionTimestamp')),
    ...present('extendedFileMetadata', optionalFlag(value, 'extendedFileMetadata')),
    ...(hasPartition ? {partitionValues: nullableTexts(value, 'partitionValues')} : {}),
    ...present('size', optionalNumber(value, 'size')),
    ...present('stats', optionalText(value, 'stats')),
    ...present('tags', optionalTexts(value, 'tags')),
    ...present('deletionVector', vectorOf(value)),
  };
}

function cdcOf(value: Json): AddCdcFile {
  return {
    path: text(value, 'path'),
    partitionValues: nullableTexts(value, 'partitionValues'),
    size: optionalNumber(value, 'size') ?? 0,
    dataChange: false,
    ...present('tags', optionalTexts(value, 'tags')),
  };
}

function vectorOf(value: Json): DeletionVectorDescriptor | undefined {
  const vector = value['deletionVector'];
  if (vector === null || vector === undefined) return undefined;
  const parts = objectOf(vector, 'deletionVector');
  const storageType = text(parts, 'storageType');
  if (storageType !== 'u' && storageType !== 'i' && storageType !== 'p') {
    throw new TypeError(`deletionVector.storageType "${storageType}" is unknown`);
  }
  return {
    storageType,
    pathOrInlineDv: text(parts, 'pathOrInlineDv'),
    ...present('offset', optionalNumber(parts, 'offset')),
    sizeInBytes: numeric(parts, 'sizeInBytes'),
    cardinality: numeric(parts, 'cardinality'),
  };
}

function metadataOf(value: Json): Metadata {
  const format = isObject(value['format']) ? value['format'] : {};
  return {
    id: text(value, 'id'),
    ...present('name', optionalText(value, 'name')),
    ...present('description', optionalText(value, 'description')),
    format: {provider: optionalText(format, 'provider') ?? 'parquet', options: optionalTexts(format, 'options') ?? {}},
    schemaString: text(value, 'schemaString'),
    partitionColumns: optionalList(value, 'partitionColumns') ?? [],
    configuration: optionalTexts(value, 'configuration') ?? {},
    ...present('createdTime', optionalNumber(value, 'createdTime')),
  };
}

function protocolOf(value: Json): Protocol {
  return {
    minReaderVersion: numeric(value, 'minReaderVersion'),
    minWriterVersion: numeric(value, 'minWriterVersion'),
    ...present('readerFeatures', optionalList(value, 'readerFeatures')),
    ...present('writerFeatures', optionalList(value, 'writerFeatures')),
  };
}

function txnOf(value: Json): TxnAction {
  return {
    appId: text(value, 'appId'),
    version: numeric(value, 'version'),
    ...present('lastUpdated', optionalNumber(value, 'lastUpdated')),
  };
}

function domainOf(value: Json): DomainMetadata {
  return {
    domain: text(value, 'domain'),
    configuration: optionalText(value, 'configuration') ?? '',
    removed: value['removed'] === true,
  };
}

function present<K extends string, V>(key: K, value: V | undefined): {readonly [name in K]?: V} {
  return value === undefined ? {} : ({[key]: value} as {readonly [name in K]: V});
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOf(value: unknown, what: string): Json {
  if (isObject(value)) return value;
  throw new TypeError(`${what} is no object`);
}

function text(value: Json, key: string): string {
  const found = value[key];
  if (typeof found === 'string') return found;
  throw new TypeError(`${key} is no text`);
}

function numeric(value: Json, key: string): number {
  const found = value[key];
  if (typeof found === 'number') return found;
  throw new TypeError(`${key} is no number`);
}

function optionalText(value: Json, key: string): string | undefined {
  return value[key] === null || value[key] === undefined ? undefined : text(value, key);
}

function optionalNumber(value: Json, key: string): number | undefined {
  return value[key] === null || value[key] === undefined ? undefined : numeric(value, key);
}

function optionalFlag(value: Json, key: string): boolean | undefined {
  const found = value[key];
  return typeof found === 'boolean' ? found : undefined;
}

function optionalList(value: Json, key: string): readonly string[] | undefined {
  const found: unknown = value[key];
  if (found === null || found === undefined) return undefined;
  if (Array.isArray(found) && found.every((each): each is string => typeof each === 'string')) return found;
  throw new TypeError(`${key} is no list of texts`);
}

/** A map of texts; entries without a value are left out. */
function optionalTexts(value: Json, key: string): Readonly<Record<string, string>> | undefined {
  if (value[key] === null || value[key] === undefined) return undefined;
  const entries = Object.entries(nullableTexts(value, key));
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== null));
}

function nullableTexts(value: Json, key: string): Readonly<Record<string, string | null>> {
  const found = value[key];
  if (found === null || found === undefined) return {};
  const map = objectOf(found, key);
  for (const [name, each] of Object.entries(map)) {
    if (each !== null && typeof each !== 'string') throw new TypeError(`${key}.${name} is no text`);
  }
  return map as Readonly<Record<string, string | null>>;
}
