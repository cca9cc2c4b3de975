import {type Operand, type Predicate, renderPredicate} from '../core/predicate.ts';
import type {StructType} from '../core/types.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import {landedName} from './column-names.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Columns of the source, and the names under which they land where these are others. */
export interface LandedColumns {
  readonly schema: StructType;
  readonly columnNames: ResolvedFlow['columnNames'];
}

/** The column that a path begins at: a name with dots in it is one column where the schema has it. */
export function columnOf(schema: StructType, path: string): string {
  if (schema.fields.some((field) => field.name === path)) return path;
  return path.split('.', 1)[0] ?? path;
}

/** A path into structs of the source as the engine's SQL over landed rows. */
export function landedSql(columns: LandedColumns, path: string): string {
  return landedPath(columns, path).map(quoteIdentifier).join('.');
}

/** A condition on columns of the source as the engine's SQL over landed rows. */
export function landedPredicateSql(flow: ResolvedFlow, predicate: Predicate): string {
  const columns = {schema: flow.landingSchema, columnNames: flow.columnNames};
  return renderPredicate(renamed(predicate, columns), 'duckdb');
}

function landedPath({schema, columnNames}: LandedColumns, path: string): readonly string[] {
  const column = columnOf(schema, path);
  const inside = column === path ? [] : path.slice(column.length + 1).split('.');
  return [landedName({columnNames}, column), ...inside];
}

function renamed(predicate: Predicate, columns: LandedColumns): Predicate {
  const operand = <O extends Operand>(given: O): O =>
    given.kind === 'column' ? {...given, path: landedPath(columns, given.path.join('.'))} : given;
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return {...predicate, terms: predicate.terms.map((term) => renamed(term, columns))};
    case 'not':
      return {...predicate, term: renamed(predicate.term, columns)};
    case 'compare':
      return {...predicate, left: operand(predicate.left), right: operand(predicate.right)};
    case 'between':
      return {
        ...predicate,
        operand: operand(predicate.operand),
        low: operand(predicate.low),
        high: operand(predicate.high),
      };
    case 'null':
    case 'in':
    case 'like':
    case 'truth':
      return {...predicate, operand: operand(predicate.operand)};
  }
}
