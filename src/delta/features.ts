import {IngestError} from '../core/errors.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import type {Metadata, Protocol} from './actions.ts';
import {mappingMode} from './column-mapping.ts';
import {constraintsOf} from './constraints.ts';

/** What a table is made of, as far as the protocol needs to know. */
export interface TableShape {
  readonly protocol: Protocol;
  readonly metadata: Metadata;
  readonly schema: StructType;
}

/** What we do about a table feature. */
interface Feature {
  /** Readers must know it, too. */
  readonly reader: boolean;
  /** Writer version that brings it without naming it; 0 when it must be named. */
  readonly legacyWriterVersion: number;
  /** `read`: only reading is possible while it is active. `none`: not even that. */
  readonly support: 'full' | 'read' | 'none';
  /** A feature may be allowed by the protocol and lie idle; then it asks nothing of us. Default: never idle. */
  isActive?(shape: TableShape): boolean;
  /** True when properties or columns make use of it, so that the protocol must have it. Default: as `isActive`, if there is one. */
  isWanted?(shape: TableShape): boolean;
}

const hasProperty =
  (key: string, value = 'true') =>
  ({metadata}: TableShape): boolean =>
    metadata.configuration[key]?.toLowerCase() === value;
const hasPropertyPrefix =
  (prefix: string) =>
  ({metadata}: TableShape): boolean =>
    Object.keys(metadata.configuration).some((key) => key.startsWith(prefix));
const hasFieldMetadata =
  (prefix: string) =>
  ({schema}: TableShape): boolean =>
    someField(schema, (field) => Object.keys(field.metadata).some((key) => key.startsWith(prefix)));

/** Must be named by the protocol. */
const named = (reader: boolean, support: Feature['support']): Omit<Feature, 'isActive' | 'isWanted'> => ({
  reader,
  legacyWriterVersion: 0,
  support,
});

/**
 * Features of the protocol that we know, by name. A feature that is named by a table and missing here is refused.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#valid-feature-names-in-table-features
 */
const FEATURES: Readonly<Record<string, Feature>> = {
  appendOnly: {reader: false, legacyWriterVersion: 2, support: 'full', isActive: hasProperty('delta.appendOnly')},
  invariants: {reader: false, legacyWriterVersion: 2, support: 'full', isActive: hasFieldMetadata('delta.invariants')},
  checkConstraints: {
    reader: false,
    legacyWriterVersion: 3,
    support: 'full',
    isActive: hasPropertyPrefix('delta.constraints.'),
  },
  changeDataFeed: {
    reader: false,
    legacyWriterVersion: 4,
    support: 'full',
    isActive: hasProperty('delta.enableChangeDataFeed'),
  },
  generatedColumns: {
    reader: false,
    legacyWriterVersion: 4,
    support: 'read',
    isActive: hasFieldMetadata('delta.generationExpression'),
  },
  columnMapping: {
    reader: true,
    legacyWriterVersion: 5,
    support: 'full',
    isActive: ({metadata}) => mappingMode(metadata) !== 'none',
  },
  identityColumns: {
    reader: false,
    legacyWriterVersion: 6,
    support: 'read',
    isActive: hasFieldMetadata('delta.identity.'),
  },
  deletionVectors: {...named(true, 'full'), isWanted: hasProperty('delta.enableDeletionVectors')},
  timestampNtz: {...named(true, 'full'), isWanted: ({schema}) => hasTimestampNtz(schema)},
  domainMetadata: named(false, 'full'),
  typeWidening: {...named(true, 'full'), isWanted: hasProperty('delta.enableTypeWidening')},
  'typeWidening-preview': named(true, 'full'),
  v2Checkpoint: {...named(true, 'full'), isWanted: hasProperty('delta.checkpointPolicy', 'v2')},
  vacuumProtocolCheck: named(true, 'full'),
  // Binds only who cleans up the log.
  checkpointProtection: named(false, 'full'),
  clustering: named(false, 'full'),
  inCommitTimestamp: {...named(false, 'full'), isActive: hasProperty('delta.enableInCommitTimestamps')},
  rowTracking: {...named(false, 'read'), isWanted: hasProperty('delta.enableRowTracking')},
  allowColumnDefaults: {...named(false, 'read'), isActive: hasFieldMetadata('CURRENT_DEFAULT')},
  icebergCompatV1: {...named(false, 'read'), isActive: hasProperty('delta.enableIcebergCompatV1')},
  icebergCompatV2: {...named(false, 'read'), isActive: hasProperty('delta.enableIcebergCompatV2')},
};

function isActive(feature: Feature, shape: TableShape): boolean {
  return feature.isActive?.(shape) ?? true;
}

/** Names of the features that properties and columns make use of. */
function wantedFeatures(shape: TableShape): readonly string[] {
  return Object.entries(FEATURES)
    .filter(([, feature]) => feature.isWanted?.(shape) ?? feature.isActive?.(shape) ?? false)
    .map(([name]) => name);
}

const FEATURES_READER_VERSION = 3;
const FEATURES_WRITER_VERSION = 7;
/** Reader version that brings column mapping without naming it. */
const MAPPING_READER_VERSION = 2;

/** @throws UNSUPPORTED_TABLE_FEATURE naming what we would have to know to read the table. */
export function checkReadable(shape: TableShape, table: string): void {
  const {protocol} = shape;
  if (protocol.minReaderVersion > FEATURES_READER_VERSION)
    throw refused(table, `reader version ${protocol.minReaderVersion}`, 'read');
  const named = protocol.minReaderVersion === FEATURES_READER_VERSION ? (protocol.readerFeatures ?? []) : [];
  const legacy = protocol.minReaderVersion === MAPPING_READER_VERSION ? ['columnMapping'] : [];
  for (const name of [...named, ...legacy]) {
    const feature = FEATURES[name];
    if (feature === undefined || (feature.support === 'none' && isActive(feature, shape)))
      throw refused(table, name, 'read');
  }
}

/** @throws UNSUPPORTED_TABLE_FEATURE naming what we would have to honour to write the table. */
export function checkWritable(shape: TableShape, table: string): void {
  checkReadable(shape, table);
  constraintsOf(table, {schema: shape.schema, configuration: shape.metadata.configuration});
  const {minWriterVersion} = shape.protocol;
  if (minWriterVersion > FEATURES_WRITER_VERSION) throw refused(table, `writer version ${minWriterVersion}`, 'write');
  for (const name of writerFeatures(shape.protocol)) {
    const feature = FEATURES[name];
    if (feature === undefined || (feature.support !== 'full' && isActive(feature, shape)))
      throw refused(table, name, 'write');
  }
}

/** Properties of this prefix ask for a table feature by its name. */
const FEATURE_PREFIX = 'delta.feature.';

/** True for a property that asks for a feature: the protocol has the feature then, and the table not the property. */
export function isFeatureProperty(key: string): boolean {
  return key.startsWith(FEATURE_PREFIX);
}

/** The features that properties ask for by name. */
export function namedFeatures(configuration: Readonly<Record<string, string | null>>): readonly string[] {
  return Object.keys(configuration)
    .filter(isFeatureProperty)
    .map((key) => key.slice(FEATURE_PREFIX.length));
}

/** True when commits may make use of the feature. */
export function hasFeature(protocol: Protocol, name: string): boolean {
  return writerFeatures(protocol).includes(name);
}

/** True when commits that change rows must say how: the feature is there and switched on. */
export function hasChangeFeed({protocol, metadata}: Pick<TableShape, 'protocol' | 'metadata'>): boolean {
  return (
    hasFeature(protocol, 'changeDataFeed') &&
    metadata.configuration['delta.enableChangeDataFeed']?.toLowerCase() === 'true'
  );
}

/** True when commits carry their own time: the feature is there and switched on. */
export function hasInCommitTimestamps({protocol, metadata}: Pick<TableShape, 'protocol' | 'metadata'>): boolean {
  return (
    hasFeature(protocol, 'inCommitTimestamp') &&
    metadata.configuration['delta.enableInCommitTimestamps']?.toLowerCase() === 'true'
  );
}

/**
 * The least protocol for a new table: reader 1 and writer 2, or the versions or names of the features that are needed.
 * @throws UNSUPPORTED_TABLE_FEATURE when a property or a column asks for a feature that we cannot honour.
 */
export function leastProtocol(
  table: string,
  wanted: {
    readonly metadata: Metadata;
    readonly schema: StructType;
    readonly deletionVectors: boolean;
    readonly clustered?: boolean;
  },
): Protocol {
  const least: Protocol = {minReaderVersion: 1, minWriterVersion: 2};
  const more = [
    ...(wanted.deletionVectors ? ['deletionVectors'] : []),
    ...namedFeatures(wanted.metadata.configuration),
    // What a table is clustered by is kept in a domain.
    ...(wanted.clustered === true ? ['clustering', 'domainMetadata'] : []),
  ];
  return withFeatures(table, {protocol: least, metadata: wanted.metadata, schema: wanted.schema}, more);
}

/**
 * The protocol of a shape, raised as far as its properties, its columns and `more` need; the same object when it has all.
 * @throws UNSUPPORTED_TABLE_FEATURE when one of them is a feature that we cannot honour.
 */
export function withFeatures(table: string, shape: TableShape, more: readonly string[]): Protocol {
  const has = writerFeatures(shape.protocol);
  const missing = [...new Set([...more, ...wantedFeatures(shape)])].filter((name) => !isCovered(shape.protocol, name));
  const protocol = missing.length === 0 ? shape.protocol : raised(shape.protocol, has, missing);
  checkCovered({...shape, protocol}, table);
  return protocol;
}

function raised(protocol: Protocol, has: readonly string[], missing: readonly string[]): Protocol {
  // Column mapping is named, too: there are readers that take version 2 for 1, and show NULL in every column.
  const versions = missing.map((name) =>
    FEATURES[name]?.reader === true ? 0 : (FEATURES[name]?.legacyWriterVersion ?? 0),
  );
  if (protocol.minWriterVersion < FEATURES_WRITER_VERSION && !versions.includes(0))
    return {...protocol, minWriterVersion: Math.max(protocol.minWriterVersion, ...versions)};
  // What a writer version brings without naming it has to be named from version 7 on.
  const writer = [...missing, ...has];
  const reader = writer.filter((name) => FEATURES[name]?.reader === true);
  return {
    minReaderVersion: reader.length === 0 ? 1 : FEATURES_READER_VERSION,
    minWriterVersion: FEATURES_WRITER_VERSION,
    ...(reader.length === 0 ? {} : {readerFeatures: reader}),
    writerFeatures: writer,
  };
}

/** @throws UNSUPPORTED_TABLE_FEATURE when properties or columns make use of a feature that the protocol lacks or that we do not know. */
export function checkCovered(shape: TableShape, table: string): void {
  checkWritable(shape, table);
  for (const name of wantedFeatures(shape)) {
    if (FEATURES[name]?.support !== 'full') throw refused(table, name, 'write');
    if (!isCovered(shape.protocol, name)) throw refused(table, name, 'add');
  }
}

function isCovered(protocol: Protocol, name: string): boolean {
  return hasFeature(protocol, name) || (name === 'typeWidening' && hasFeature(protocol, 'typeWidening-preview'));
}

function writerFeatures(protocol: Protocol): readonly string[] {
  const {minWriterVersion} = protocol;
  if (minWriterVersion === FEATURES_WRITER_VERSION) return protocol.writerFeatures ?? [];
  const implied = ([, feature]: [string, Feature]): boolean =>
    feature.legacyWriterVersion > 0 && feature.legacyWriterVersion <= minWriterVersion;
  return Object.entries(FEATURES)
    .filter(implied)
    .map(([name]) => name);
}

function hasTimestampNtz(type: DataType): boolean {
  if (typeof type === 'string') return type === 'timestamp_ntz';
  switch (type.type) {
    case 'decimal':
      return false;
    case 'array':
      return hasTimestampNtz(type.elementType);
    case 'map':
      return hasTimestampNtz(type.keyType) || hasTimestampNtz(type.valueType);
    case 'struct':
      return type.fields.some((field) => hasTimestampNtz(field.type));
  }
}

/** True when a field at any depth passes. */
function someField(type: DataType, passes: (field: StructField) => boolean): boolean {
  if (typeof type === 'string') return false;
  switch (type.type) {
    case 'decimal':
      return false;
    case 'array':
      return someField(type.elementType, passes);
    case 'map':
      return someField(type.keyType, passes) || someField(type.valueType, passes);
    case 'struct':
      return type.fields.some((field) => passes(field) || someField(field.type, passes));
  }
}

const WHY = {
  read: {
    verb: 'needs',
    fix: 'Read it with an engine that knows the feature, or drop the feature from the table.',
  },
  write: {
    verb: 'needs',
    fix: 'Drop the feature from the table or its property, or write to another table.',
  },
  add: {
    verb: 'was made without',
    fix: 'A feature is fixed when a table is made: make the table again with it, add it on purpose (ALTER TABLE ... SET TBLPROPERTIES), or do without it.',
  },
} as const;

function refused(table: string, feature: string, why: keyof typeof WHY): IngestError {
  const {verb, fix} = WHY[why];
  const what = why === 'add' ? '' : `, which Sluice cannot ${why}`;
  return new IngestError('UNSUPPORTED_TABLE_FEATURE', `Table ${table} ${verb} the Delta feature ${feature}${what}.`, {
    fix,
    context: {table, feature},
  });
}
