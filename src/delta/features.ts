import {IngestError} from '../core/errors.ts';
import type {DataType, StructType} from '../core/types.ts';
import type {Metadata, Protocol} from './actions.ts';

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
  /** A feature may be allowed by the protocol and lie idle; then it asks nothing of us. */
  isActive(shape: TableShape): boolean;
}

const always = (): boolean => true;
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
    schema.fields.some((field) => Object.keys(field.metadata).some((key) => key.startsWith(prefix)));

const columnMapping = ({metadata}: TableShape): boolean =>
  (metadata.configuration['delta.columnMapping.mode'] ?? 'none') !== 'none';

/**
 * Features of the protocol that we know, by name. A feature that is named by a table and missing here is refused.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#valid-feature-names-in-table-features
 */
const FEATURES: Readonly<Record<string, Feature>> = {
  appendOnly: {reader: false, legacyWriterVersion: 2, support: 'full', isActive: always},
  invariants: {
    reader: false,
    legacyWriterVersion: 2,
    support: 'read',
    isActive: hasFieldMetadata('delta.invariants'),
  },
  checkConstraints: {
    reader: false,
    legacyWriterVersion: 3,
    support: 'read',
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
  columnMapping: {reader: true, legacyWriterVersion: 5, support: 'none', isActive: columnMapping},
  identityColumns: {
    reader: false,
    legacyWriterVersion: 6,
    support: 'read',
    isActive: hasFieldMetadata('delta.identity.'),
  },
  deletionVectors: {reader: true, legacyWriterVersion: 0, support: 'full', isActive: always},
  timestampNtz: {reader: true, legacyWriterVersion: 0, support: 'full', isActive: always},
  domainMetadata: {reader: false, legacyWriterVersion: 0, support: 'full', isActive: always},
  typeWidening: {reader: true, legacyWriterVersion: 0, support: 'full', isActive: always},
  'typeWidening-preview': {reader: true, legacyWriterVersion: 0, support: 'full', isActive: always},
  v2Checkpoint: {reader: true, legacyWriterVersion: 0, support: 'full', isActive: always},
  vacuumProtocolCheck: {reader: true, legacyWriterVersion: 0, support: 'full', isActive: always},
  // Binds only who cleans up the log.
  checkpointProtection: {reader: false, legacyWriterVersion: 0, support: 'full', isActive: always},
  clustering: {reader: false, legacyWriterVersion: 0, support: 'read', isActive: always},
  inCommitTimestamp: {
    reader: false,
    legacyWriterVersion: 0,
    support: 'full',
    isActive: hasProperty('delta.enableInCommitTimestamps'),
  },
  rowTracking: {reader: false, legacyWriterVersion: 0, support: 'read', isActive: always},
  allowColumnDefaults: {
    reader: false,
    legacyWriterVersion: 0,
    support: 'read',
    isActive: hasFieldMetadata('CURRENT_DEFAULT'),
  },
  icebergCompatV1: {
    reader: false,
    legacyWriterVersion: 0,
    support: 'read',
    isActive: hasProperty('delta.enableIcebergCompatV1'),
  },
  icebergCompatV2: {
    reader: false,
    legacyWriterVersion: 0,
    support: 'read',
    isActive: hasProperty('delta.enableIcebergCompatV2'),
  },
};

const FEATURES_READER_VERSION = 3;
const FEATURES_WRITER_VERSION = 7;

/** @throws UNSUPPORTED_TABLE_FEATURE naming what we would have to know to read the table. */
export function checkReadable(shape: TableShape, table: string): void {
  const {protocol} = shape;
  if (protocol.minReaderVersion > FEATURES_READER_VERSION)
    throw refused(table, `reader version ${protocol.minReaderVersion}`, 'read');
  const named = protocol.minReaderVersion === FEATURES_READER_VERSION ? (protocol.readerFeatures ?? []) : [];
  const legacy = protocol.minReaderVersion === 2 ? ['columnMapping'] : [];
  for (const name of [...named, ...legacy]) {
    const feature = FEATURES[name];
    if (feature === undefined || (feature.support === 'none' && feature.isActive(shape)))
      throw refused(table, name, 'read');
  }
}

/** @throws UNSUPPORTED_TABLE_FEATURE naming what we would have to honour to write the table. */
export function checkWritable(shape: TableShape, table: string): void {
  checkReadable(shape, table);
  const {minWriterVersion} = shape.protocol;
  if (minWriterVersion > FEATURES_WRITER_VERSION) throw refused(table, `writer version ${minWriterVersion}`, 'write');
  for (const name of writerFeatures(shape.protocol)) {
    const feature = FEATURES[name];
    if (feature === undefined || (feature.support !== 'full' && feature.isActive(shape)))
      throw refused(table, name, 'write');
  }
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
 * The least protocol for a new table: reader 1 and writer 2, or named features where one is needed.
 * @throws UNSUPPORTED_TABLE_FEATURE when a property or a column asks for a feature that we cannot honour.
 */
export function leastProtocol(
  table: string,
  wanted: {readonly metadata: Metadata; readonly schema: StructType; readonly deletionVectors: boolean},
): Protocol {
  const shape = {protocol: NO_FEATURES, metadata: wanted.metadata, schema: wanted.schema};
  const protocol = protocolWith([
    ...(wanted.deletionVectors ? ['deletionVectors'] : []),
    ...(hasTimestampNtz(wanted.schema) ? ['timestampNtz'] : []),
    ...SWITCHED_ON_BY_PROPERTY.filter((name) => FEATURES[name]?.isActive(shape) === true),
  ]);
  checkCovered({protocol, metadata: wanted.metadata, schema: wanted.schema}, table);
  return protocol;
}

/** Features that a new table gets when its properties ask for them. */
const SWITCHED_ON_BY_PROPERTY = ['changeDataFeed', 'inCommitTimestamp'];

const NO_FEATURES: Protocol = {minReaderVersion: 1, minWriterVersion: 2};

/** The least protocol with the features: by versions where these bring all of them, else by name. */
function protocolWith(features: readonly string[]): Protocol {
  const known = features.map((name) => FEATURES[name]);
  const isLegacy = known.every((feature) => feature?.reader === false && feature.legacyWriterVersion > 0);
  if (isLegacy) {
    const versions = known.map((feature) => feature?.legacyWriterVersion ?? 0);
    return {minReaderVersion: 1, minWriterVersion: Math.max(NO_FEATURES.minWriterVersion, ...versions)};
  }
  const readerFeatures = features.filter((name) => FEATURES[name]?.reader === true);
  return {
    ...(readerFeatures.length === 0
      ? {minReaderVersion: 1}
      : {minReaderVersion: FEATURES_READER_VERSION, readerFeatures}),
    minWriterVersion: FEATURES_WRITER_VERSION,
    // What writer version 2 brings without naming it has to be named from version 7 on.
    writerFeatures: [...features, 'appendOnly', 'invariants'],
  };
}

/** @throws UNSUPPORTED_TABLE_FEATURE when properties or columns make use of a feature that the protocol lacks or that we do not know. */
export function checkCovered(shape: TableShape, table: string): void {
  checkWritable(shape, table);
  for (const [name, feature] of Object.entries(FEATURES)) {
    if (feature.isActive === always || !feature.isActive(shape)) continue;
    if (feature.support !== 'full') throw refused(table, name, 'write');
    if (!hasFeature(shape.protocol, name)) throw refused(table, name, 'add');
  }
  const hasVectors = hasProperty('delta.enableDeletionVectors')(shape);
  if (hasVectors && !hasFeature(shape.protocol, 'deletionVectors')) throw refused(table, 'deletionVectors', 'add');
  const lacksNtz = hasTimestampNtz(shape.schema) && !hasFeature(shape.protocol, 'timestampNtz');
  if (lacksNtz) throw refused(table, 'timestampNtz', 'add');
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
    fix: 'A feature is fixed when a table is made: make the table again with it (full refresh), or do without it.',
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
