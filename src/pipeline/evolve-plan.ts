import {IngestError} from '../core/errors.ts';
import {didYouMean} from '../core/suggest.ts';
import {
  CHANGE_TYPE_COLUMN,
  END_COLUMN,
  RESCUED_COLUMN,
  SEQUENCE_COLUMN,
  START_COLUMN,
  type StructField,
  type StructType,
  UNCHANGED_COLUMN,
} from '../core/types.ts';
import type {Metadata} from '../delta/actions.ts';
import {MAPPING_MODE} from '../delta/column-mapping.ts';
import {landedNames, namedField, rememberedName} from './column-names.ts';
import {commented, mergeTypes, type TypeChange} from './evolve-types.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Table property: JSON list of paths of columns, and of fields inside them, that the source has no more. */
export const INACTIVE_PROPERTY = 'sluice.inactiveColumns';

/** Table property that lets types become wider. */
export const TYPE_WIDENING = 'delta.enableTypeWidening';

/** Columns of ours, in the order in which they stand at the end of a table. */
export const TECHNICAL_COLUMNS: readonly string[] = [
  RESCUED_COLUMN,
  SEQUENCE_COLUMN,
  CHANGE_TYPE_COLUMN,
  UNCHANGED_COLUMN,
  START_COLUMN,
  END_COLUMN,
];

const VERSION_COLUMNS: readonly string[] = [START_COLUMN, END_COLUMN];

/** A difference between the source and the table. Paths begin with the column's name in the table. */
export type SchemaChange =
  | TypeChange
  | {readonly kind: 'dropped' | 'revived'; readonly path: string}
  | {readonly kind: 'renamed'; readonly path: string; readonly from: string}
  | {readonly kind: 'apart'; readonly path: string; readonly source: string};

/**
 * What becomes of the rows that are there: they stay; a snapshot replaces them, or there are none; or a full refresh, which
 * takes the source's types as they are.
 */
export type RowsThen = 'stay' | 'replaced' | 'refreshed';

/** A flow that lands as its table wants it. */
export interface SettledFlow {
  /** Landing in the table's names and types. */
  readonly flow: ResolvedFlow;
  /** The table's schema from the next commit on. */
  readonly schema: StructType;
  readonly changes: readonly SchemaChange[];
  /** Changes that rows cannot stay under, by the policy of the flow: it must stop or read the table anew. */
  readonly refused: readonly SchemaChange[];
  /** New names of table columns by their old ones. */
  readonly renamed: ReadonlyMap<string, string>;
  /** For {@link INACTIVE_PROPERTY}. */
  readonly inactive: readonly string[];
}

/** The table as far as its schema goes. */
export interface EvolvingTable {
  readonly schema: StructType;
  readonly configuration: Metadata['configuration'];
}

/**
 * Lays the source over the table: which column of the table each column of the source is, which are new, gone or back, and
 * the types that hold both the rows that stay and those that come. Writes nothing.
 * @param table null: there is none yet.
 */
export function settleFlow(flow: ResolvedFlow, table: EvolvingTable | null, rows: RowsThen): SettledFlow {
  const columns = matchColumns(flow, table, rows);
  const isKept = flow.configuration.schemaEvolution === 'quarantine' && table !== null && rows !== 'refreshed';
  const laid = isKept ? keptFields(columns, flow, table) : evolvedFields(columns, flow, {table, rows});
  const changes = [...columns.changes, ...laid.changes];
  return {
    flow: {...landingFlow(flow, columns, laid.fields), rescueUnknown: isKept},
    schema: ordered([...laid.fields.values()]),
    changes,
    refused: table === null ? [] : refusedChanges(flow, changes, rows),
    renamed: columns.renamed,
    inactive: inactivePaths(columns, laid.changes),
  };
}

/** Paths that a table notes as inactive. */
export function inactiveColumns({configuration}: Pick<EvolvingTable, 'configuration'>): readonly string[] {
  const text = configuration[INACTIVE_PROPERTY];
  return text === undefined ? [] : (JSON.parse(text) as readonly string[]);
}

interface MatchedColumns {
  /** Columns that the flow selects: their landed names by source names, in the source's order. */
  readonly names: ReadonlyMap<string, string>;
  /** Columns of the table under their new names, those that nobody fills included, in order. */
  readonly current: readonly StructField[];
  readonly renamed: ReadonlyMap<string, string>;
  /** Columns of the table that the source does not fill. */
  readonly gone: readonly string[];
  /** What the table knows as inactive, under new names. */
  readonly inactive: readonly string[];
  readonly changes: readonly SchemaChange[];
}

function matchColumns(flow: ResolvedFlow, table: EvolvingTable | null, rows: RowsThen): MatchedColumns {
  const selected = dataFields(flow.tableSchema).map((field) => field.name);
  const wishes = renamesOf(flow, table);
  const {names: found, apart} = landedNames(selected, table?.schema ?? null, {
    taken: TECHNICAL_COLUMNS,
    others: [...flow.landingSchema.fields.map((field) => field.name), ...flow.ignoredColumns],
    renamed: wishes,
  });
  const renamed = new Map<string, string>();
  const taken = new Set(table?.schema.fields.map((field) => field.name.toLowerCase()));
  for (const [source, landed] of found) {
    const isWished = wishes.has(source) && landed !== source;
    if (isWished && (!taken.has(source.toLowerCase()) || source.toLowerCase() === landed.toLowerCase()))
      renamed.set(landed, source);
  }
  if (renamed.size > 0 && rows === 'stay') checkRenames(flow, table, renamed);
  const names = new Map([...found].map(([source, landed]) => [source, renamed.get(landed) ?? landed]));
  const landed = new Set(names.values());
  // A table that gave its history up says no more since when its rows hold.
  const isLeft = (name: string): boolean => flow.target !== 'scd2' && VERSION_COLUMNS.includes(name);
  const current = (table?.schema.fields ?? [])
    .filter(({name}) => !isLeft(name))
    .map((field) => ({...field, name: renamed.get(field.name) ?? field.name}));
  const isTechnical = new Set(TECHNICAL_COLUMNS);
  const gone = current.map(({name}) => name).filter((name) => !landed.has(name) && !isTechnical.has(name));
  const known = table === null ? [] : inactiveColumns(table).map((path) => renamedPath(path, renamed));
  const changes: SchemaChange[] = [
    ...[...renamed].map(([from, path]) => ({kind: 'renamed', path, from}) as const),
    ...gone.filter((path) => !known.includes(path)).map((path) => ({kind: 'dropped', path}) as const),
    ...known.filter((path) => landed.has(path)).map((path) => ({kind: 'revived', path}) as const),
    ...apart.map((source) => ({kind: 'apart', path: names.get(source) ?? source, source}) as const),
  ];
  return {names, current, renamed, gone, inactive: known, changes};
}

/** The old names of columns that were declared to be renamed; a name that was renamed again is followed to the first that the table has. */
function renamesOf(flow: ResolvedFlow, table: EvolvingTable | null): ReadonlyMap<string, string> {
  const declared = flow.configuration.renamedColumns;
  const inTable = new Set(table?.schema.fields.flatMap((field) => [field.name, rememberedName(field)]));
  const inSource = new Set([...flow.landingSchema.fields.map((field) => field.name), ...flow.ignoredColumns]);
  const wishes = new Map<string, string>();
  for (const name of Object.keys(declared)) {
    if (!inSource.has(name)) {
      // It may be declared before it happens, and stay declared when the column is gone.
      const isKnown = inSource.has(declared[name] ?? '') || inTable.has(name);
      if (!isKnown && !Object.values(declared).includes(name)) throw unknownRename(flow, name, inSource);
      continue;
    }
    let old = declared[name];
    for (let hops = 0; old !== undefined && !inTable.has(old) && hops < 100; hops++) old = declared[old];
    if (old !== undefined && inTable.has(old)) wishes.set(name, old);
  }
  return wishes;
}

function unknownRename(flow: ResolvedFlow, name: string, known: ReadonlySet<string>): IngestError {
  const close = didYouMean(name, [...known]);
  return new IngestError(
    'UNKNOWN_COLUMN',
    `${flow.object.path}: renamed_columns says what "${name}" was called, and table "${flow.sourceTable}" has no such column.`,
    {
      fix: close === null ? 'Write the new name first, then the old one: new: old.' : `Did you mean "${close}"?`,
      context: {path: flow.object.path, table: flow.sourceTable, column: name},
    },
  );
}

/** A column that is renamed where files have its name would lose its rows: nobody asked for that. */
function checkRenames(flow: ResolvedFlow, table: EvolvingTable | null, renamed: ReadonlyMap<string, string>): void {
  if (table === null || isAsked(flow, table, MAPPING_MODE, (mode) => mode !== 'none')) return;
  const list = [...renamed].map(([old, name]) => `"${old}" to "${name}"`).join(', ');
  throw new IngestError(
    'INCOMPATIBLE_SCHEMA_CHANGE',
    `${flow.object.path}: renamed_columns renames ${list}, and the files of ${flow.name} know these columns by name: the table has no column mapping.`,
    {
      fix: `Read the table anew under the new names: sluice run --full-refresh-tables ${flow.name}. Or remove the entry: the column then is a new one, and the old one stays with its rows. Tables made with table_properties: {delta.columnMapping.mode: name} rename without reading anew.`,
      context: {table: flow.name, path: flow.object.path},
    },
  );
}

/** True when the table has a property or the configuration asks for it. */
function isAsked(
  flow: ResolvedFlow,
  table: EvolvingTable,
  property: string,
  test: (value: string) => boolean,
): boolean {
  const values = [table.configuration[property], flow.configuration.tableProperties[property]];
  return values.some((value) => value !== undefined && test(value.toLowerCase()));
}

interface LaidFields {
  /** All columns of the table by name, new ones last. */
  readonly fields: ReadonlyMap<string, StructField>;
  readonly changes: readonly SchemaChange[];
}

/** The schema stays as it is: types of the source do not matter, columns that the table lacks are left out. */
function keptFields(columns: MatchedColumns, flow: ResolvedFlow, table: EvolvingTable): LaidFields {
  const fields = new Map(columns.current.map((field) => [field.name, field]));
  const changes: SchemaChange[] = [];
  for (const {field, landed} of sourceFields(columns, flow)) {
    const known = fields.get(landed);
    if (known === undefined) changes.push({kind: 'added', path: landed, from: null, to: field.type});
    else changes.push(...mergeTypes(known.type, field.type, {path: landed, mayWiden: false}).changes);
  }
  for (const field of technicalFields(flow.tableSchema)) if (!fields.has(field.name)) fields.set(field.name, field);
  return {fields, changes: withoutKnown(changes, inactiveColumns(table))};
}

function evolvedFields(
  columns: MatchedColumns,
  flow: ResolvedFlow,
  {table, rows}: {readonly table: EvolvingTable | null; readonly rows: RowsThen},
): LaidFields {
  const fields = new Map(columns.current.map((field) => [field.name, field]));
  const changes: SchemaChange[] = [];
  const mayWiden =
    rows !== 'stay' || (table !== null && isAsked(flow, table, TYPE_WIDENING, (value) => value === 'true'));
  const lay = (name: string, field: StructField, source: string): void => {
    const known = fields.get(name);
    if (known === undefined) {
      fields.set(name, {...namedField(field, name, source), nullable: true});
      if (table !== null) changes.push({kind: 'added', path: name, from: null, to: field.type});
      return;
    }
    const merged = mergeTypes(known.type, field.type, {path: name, mayWiden});
    changes.push(...merged.changes);
    const isReplaced = rows === 'refreshed' || (rows === 'replaced' && merged.changes.some(isIncompatible));
    const metadata = commented(known.metadata, field.metadata);
    const type = isReplaced ? field.type : merged.type;
    fields.set(name, {...namedField({...known, metadata}, name, source), type});
  };
  for (const {field, landed, source} of sourceFields(columns, flow)) lay(landed, field, source);
  for (const field of technicalFields(flow.tableSchema)) lay(field.name, field, field.name);
  return {fields, changes: withoutKnown(changes, table === null ? [] : inactiveColumns(table))};
}

/** Fields inside of columns that were gone before are no news. */
function withoutKnown(changes: readonly SchemaChange[], inactive: readonly string[]): readonly SchemaChange[] {
  return changes.filter((change) => change.kind !== 'dropped' || !inactive.includes(change.path));
}

function sourceFields(
  columns: MatchedColumns,
  flow: ResolvedFlow,
): readonly {readonly field: StructField; readonly landed: string; readonly source: string}[] {
  return dataFields(flow.tableSchema).map((field) => ({
    field,
    landed: columns.names.get(field.name) ?? field.name,
    source: field.name,
  }));
}

/** What stops the flow. A full refresh takes everything; a snapshot everything but what a frozen schema forbids. */
function refusedChanges(flow: ResolvedFlow, changes: readonly SchemaChange[], rows: RowsThen): readonly SchemaChange[] {
  if (rows === 'refreshed') return [];
  switch (flow.configuration.schemaEvolution) {
    case 'freeze':
      return changes.filter((change) => change.kind !== 'renamed');
    case 'quarantine':
      return [];
    case 'evolve':
      return rows === 'replaced' ? [] : changes.filter(isIncompatible);
  }
}

function isIncompatible(change: SchemaChange): boolean {
  return change.kind === 'incompatible';
}

function inactivePaths(columns: MatchedColumns, changes: readonly SchemaChange[]): readonly string[] {
  const isGone = new Set(columns.gone);
  const dropped = changes.filter((change) => change.kind === 'dropped').map((change) => change.path);
  const back = new Set(changes.filter((change) => change.kind === 'revived').map((change) => change.path));
  const inside = columns.inactive.filter((path) => !back.has(path) && (isGone.has(path) || isInside(path)));
  return [...new Set([...inside, ...columns.gone, ...dropped])].sort();
}

function isInside(path: string): boolean {
  return /[.[{]/.test(path);
}

function renamedPath(path: string, renamed: ReadonlyMap<string, string>): string {
  for (const [old, name] of renamed)
    if (path === old || (path.startsWith(old) && /[.[{]/.test(path.charAt(old.length))))
      return name + path.slice(old.length);
  return path;
}

/** The flow in the table's terms: what it lands, what it is keyed and ordered by. */
function landingFlow(
  flow: ResolvedFlow,
  columns: MatchedColumns,
  fields: ReadonlyMap<string, StructField>,
): ResolvedFlow {
  const landed = (name: string): string => columns.names.get(name) ?? name;
  const isLanded = (name: string): boolean => fields.has(landed(name));
  const technical = technicalFields(flow.tableSchema).map(({name}) => name);
  const names = [...dataFields(flow.tableSchema).map(({name}) => landed(name)), ...technical];
  const needed = neededColumns(flow);
  const landingFields = flow.landingSchema.fields
    .filter((field) => isLanded(field.name) || needed.has(field.name))
    .map((field) => ({...field, type: fields.get(landed(field.name))?.type ?? field.type}));
  return {
    ...flow,
    landingSchema: {type: 'struct', fields: landingFields},
    tableSchema: {
      type: 'struct',
      fields: names.map((name) => fields.get(name)).filter((field) => field !== undefined),
    },
    columnNames: otherNames(columns, landingFields),
    keys: flow.keys.map(landed),
    sequence: flow.sequence.map(landed),
    trackedColumns: flow.trackedColumns.filter(isLanded).map(landed),
    ignoreNullColumns: flow.ignoreNullColumns.filter(isLanded).map(landed),
  };
}

/** Columns of the source that must be read although they do not land. */
function neededColumns(flow: ResolvedFlow): ReadonlySet<string> {
  const selected = new Set(flow.tableSchema.fields.map((field) => field.name));
  return new Set(flow.landingSchema.fields.map((field) => field.name).filter((name) => !selected.has(name)));
}

/** Names that are not the source's; columns that are read and do not land must not collide with those that do. */
function otherNames(columns: MatchedColumns, landing: readonly StructField[]): Readonly<Record<string, string>> {
  const used = new Set([...columns.names.values(), ...TECHNICAL_COLUMNS].map((name) => name.toLowerCase()));
  const others: Record<string, string> = {};
  for (const {name} of landing) {
    let other = columns.names.get(name);
    for (let number = 1; other === undefined; number++) {
      const candidate = number === 1 ? name : `${name}_${number}`;
      if (!used.has(candidate.toLowerCase())) other = candidate;
    }
    used.add(other.toLowerCase());
    if (other !== name) others[name] = other;
  }
  return others;
}

function dataFields(schema: StructType): readonly StructField[] {
  return schema.fields.filter((field) => !TECHNICAL_COLUMNS.includes(field.name));
}

function technicalFields(schema: StructType): readonly StructField[] {
  return schema.fields.filter((field) => TECHNICAL_COLUMNS.includes(field.name));
}

/** Columns in the table's order, technical ones last. */
function ordered(fields: readonly StructField[]): StructType {
  const technical = TECHNICAL_COLUMNS.flatMap((name) => fields.filter((field) => field.name === name));
  return {type: 'struct', fields: [...fields.filter((field) => !TECHNICAL_COLUMNS.includes(field.name)), ...technical]};
}
