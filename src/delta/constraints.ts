import {IngestError, messageOf} from '../core/errors.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import type {Metadata} from './actions.ts';
import type {TranslatedCondition} from './constraint-sql.ts';
import {translateCondition} from './constraint-sql.ts';

/** Prefix of the table properties that hold CHECK constraints: the name behind it, Spark SQL as value. */
export const CONSTRAINT_PREFIX = 'delta.constraints.';
/** Field metadata: a condition of old Delta versions, as JSON. */
const INVARIANT = 'delta.invariants';

/** What a table demands of its rows. */
export interface ConstrainedTable {
  readonly schema: StructType;
  readonly configuration: Metadata['configuration'];
}

/** A condition that every row of a table must pass; NULL is no pass. */
export interface Constraint {
  /** The name of a CHECK constraint, or the column of another. */
  readonly name: string;
  readonly kind: 'CHECK constraint' | 'invariant' | 'NOT NULL constraint';
  /** In the engine's SQL. */
  readonly sql: string;
}

/** A condition as the table has it. */
interface Condition extends Pick<Constraint, 'name' | 'kind'> {
  readonly text: string;
}

/**
 * The constraints of a table; NOT NULL of a column that is no struct, list or map is left out, as the statistics of its
 * files tell it.
 * @throws UNSUPPORTED naming the constraint when we are not sure to evaluate its condition as Spark does.
 */
export function constraintsOf(root: string, table: ConstrainedTable): readonly Constraint[] {
  const conditions = conditionsOf(table).map((condition) => {
    const {sql} = translated(root, table.schema, condition);
    return {name: condition.name, kind: condition.kind, sql};
  });
  return [...conditions, ...neverNull(table.schema)];
}

/** Which constraint names a column, by the column's name in lower case. @throws UNSUPPORTED as {@link constraintsOf}. */
export function constrainedColumns(root: string, table: ConstrainedTable): ReadonlyMap<string, string> {
  return new Map(
    conditionsOf(table).flatMap((condition) =>
      translated(root, table.schema, condition).columns.map(
        (column) => [column.toLowerCase(), condition.name] as const,
      ),
    ),
  );
}

/**
 * Checks the rows of a SELECT whose columns are those of the table.
 * @throws CONSTRAINT_VIOLATION with the first constraint that rows break and how many do.
 */
export async function checkRows(
  engine: Engine,
  rows: {readonly root: string; readonly select: string; readonly constraints: readonly Constraint[]},
): Promise<void> {
  const {root, select, constraints} = rows;
  if (constraints.length === 0) return;
  const counts = constraints.map(({sql}, index) => `count(*) FILTER (WHERE NOT coalesce(${sql}, false)) AS c${index}`);
  const [found] = await engine.query(`SELECT ${counts.join(', ')} FROM (${select}) AS checked`);
  for (const [index, {name, kind}] of constraints.entries()) {
    const count = Number(found?.[`c${index}`] ?? 0);
    if (count === 0) continue;
    throw new IngestError('CONSTRAINT_VIOLATION', `${count} rows break the ${kind} ${name} of table ${root}.`, {
      fix: 'Correct or filter the rows in the source (row_filter), or drop the constraint from the table.',
      context: {table: root, constraint: name, rows: count},
    });
  }
}

function conditionsOf({schema, configuration}: ConstrainedTable): readonly Condition[] {
  const checks = Object.entries(configuration).flatMap(([key, text]): readonly Condition[] =>
    key.startsWith(CONSTRAINT_PREFIX)
      ? [{name: key.slice(CONSTRAINT_PREFIX.length), kind: 'CHECK constraint', text}]
      : [],
  );
  return [...checks, ...invariantsOf(schema, '')];
}

function invariantsOf(schema: StructType, parent: string): readonly Condition[] {
  return schema.fields.flatMap((field) => {
    const name = parent + field.name;
    const own = field.metadata[INVARIANT];
    const inside = isStruct(field.type) ? invariantsOf(field.type, `${name}.`) : [];
    return own === undefined ? inside : [{name, kind: 'invariant', text: invariantText(own)} as const, ...inside];
  });
}

/** `{"expression":{"expression":"x > 3"}}`; a form that is not known is no condition that parses. */
function invariantText(json: unknown): string {
  const parsed: unknown = typeof json === 'string' ? parsedJson(json) : json;
  const inner = (parsed as {readonly expression?: {readonly expression?: unknown}} | null)?.expression?.expression;
  return typeof inner === 'string' ? inner : '';
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Answered by the caller: what cannot be read is refused as a condition.
    return null;
  }
}

function translated(root: string, schema: StructType, condition: Condition): TranslatedCondition {
  try {
    return translateCondition(condition.text, schema);
  } catch (error) {
    const {name, kind, text} = condition;
    const why = error instanceof RangeError ? `it has ${error.message}` : messageOf(error);
    throw new IngestError('UNSUPPORTED', `Table ${root} has the ${kind} ${name}, which Sluice cannot check: ${why}.`, {
      fix: 'Write it with comparisons of columns and constants of one type, or drop it from the table.',
      cause: error,
      context: {table: root, constraint: name, expression: text},
    });
  }
}

function neverNull(schema: StructType): readonly Constraint[] {
  return schema.fields.flatMap((field) => {
    const column = quoteIdentifier(field.name);
    const parts = [
      ...(field.nullable || !hasParts(field.type) ? [] : [`${column} IS NOT NULL`]),
      ...whole(column, field.type).map((sql) => `(${column} IS NULL OR ${sql})`),
    ];
    return parts.map((sql) => ({name: `of column ${field.name}`, kind: 'NOT NULL constraint', sql}) as const);
  });
}

/** Conditions on the parts of a value that is not NULL itself. */
function whole(sql: string, type: DataType, depth = 0): readonly string[] {
  if (typeof type === 'string') return [];
  switch (type.type) {
    case 'decimal':
      return [];
    case 'array':
      return everyElement(sql, {type: type.elementType, nullable: type.containsNull}, depth);
    case 'map':
      return [
        ...everyElement(`map_keys(${sql})`, {type: type.keyType, nullable: true}, depth),
        ...everyElement(`map_values(${sql})`, {type: type.valueType, nullable: type.valueContainsNull}, depth),
      ];
    case 'struct':
      return type.fields.flatMap((field) => partConditions(`${sql}.${quoteIdentifier(field.name)}`, field, depth));
  }
}

function everyElement(sql: string, element: Pick<StructField, 'type' | 'nullable'>, depth: number): readonly string[] {
  const name = `e${depth}`;
  return partConditions(name, element, depth + 1).map(
    (condition) => `len(list_filter(${sql}, lambda ${name}: NOT (${condition}))) = 0`,
  );
}

function partConditions(sql: string, part: Pick<StructField, 'type' | 'nullable'>, depth: number): readonly string[] {
  return [
    ...(part.nullable ? [] : [`${sql} IS NOT NULL`]),
    ...whole(sql, part.type, depth).map((condition) => `(${sql} IS NULL OR ${condition})`),
  ];
}

function hasParts(type: DataType): boolean {
  return typeof type === 'object' && type.type !== 'decimal';
}

function isStruct(type: DataType): type is StructType {
  return typeof type === 'object' && type.type === 'struct';
}
