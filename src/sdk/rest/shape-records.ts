import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {Change, Page} from '../contract.ts';
import {isJsonObject, pathReader, pathSteps} from '../json-path.ts';
import type {PlanPage} from './plan-call.ts';
import type {RequestScope} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';

/** Makes landed records of those that the source gave. */
export interface RecordShape {
  /** The same list where nothing is to be done. */
  records(rows: readonly JsonObject[], scope: RequestScope): readonly JsonObject[];
  page(page: PlanPage): Page;
}

/**
 * Compiles the steps of a table: lift, set, drop, transform; then deletes that come with the others.
 * @param isOwned nobody else holds the records: columns are set in them, and not in copies.
 */
export function recordShape(
  table: Pick<RestTable, 'lift' | 'set' | 'drop' | 'transform' | 'deletes'>,
  isOwned = false,
): RecordShape {
  const records = compileSteps(table, isOwned);
  const deleted = table.deletes?.kind === 'stream' ? table.deletes.isDeleted : null;
  const changesOf = (changes: readonly Change[], scope: RequestScope): readonly Change[] => {
    if (!hasSteps(table)) return changes;
    return changes.flatMap((change) => {
      if (change.row === undefined) return [change];
      const rows = records([change.row], scope);
      return rows.map((row): Change => ({...change, row}));
    });
  };
  return {
    records,
    page({records: rows, scope, changes, sequence, offset, whole}) {
      const end = offset === undefined ? {} : {offset};
      if (whole !== undefined) return whole;
      if (changes !== undefined) return {kind: 'changes', changes: changesOf(changes, scope), ...end};
      if (deleted === null) {
        const order = sequence === undefined ? {} : {sequence};
        return {kind: 'records', rows: records(rows, scope), ...order, ...end};
      }
      const mixed = rows.map((row): Change => ({op: deleted(row) ? 'delete' : 'upsert', row}));
      return {kind: 'changes', changes: changesOf(mixed, scope), ...end};
    },
  };
}

function hasSteps({
  lift = [],
  set = {},
  drop = [],
  transform,
}: Pick<RestTable, 'lift' | 'set' | 'drop' | 'transform'>): boolean {
  return lift.length > 0 || drop.length > 0 || Object.keys(set).length > 0 || transform !== undefined;
}

type Step = (record: Record<string, JsonValue | undefined>, source: JsonObject, scope: RequestScope) => void;

function compileSteps(
  table: Pick<RestTable, 'lift' | 'set' | 'drop' | 'transform'>,
  isOwned: boolean,
): RecordShape['records'] {
  const isSetOnly = (table.lift ?? []).length + (table.drop ?? []).length === 0 && table.set !== undefined;
  const stepped = isOwned && isSetOnly ? settingSteps(table.set ?? {}) : copyingSteps(table);
  const {transform} = table;
  if (transform === undefined) return stepped;
  return (rows, scope) =>
    stepped(rows, scope).flatMap((row): readonly JsonObject[] => {
      const made = transform(row, scope);
      if (made === null) return [];
      return isList(made) ? made : [made];
    });
}

/** Sets columns in the records themselves; every value is made before any is set. */
function settingSteps(set: NonNullable<RestTable['set']>): RecordShape['records'] {
  const makers = Object.entries(set);
  const values: (JsonValue | undefined)[] = [];
  return (rows, scope) => {
    for (const row of rows as readonly Record<string, JsonValue | undefined>[]) {
      for (const [index, [, maker]] of makers.entries())
        values[index] = typeof maker === 'function' ? maker(row, scope) : maker;
      for (const [index, [name]] of makers.entries()) {
        if (values[index] !== undefined) row[name] = values[index];
        else if (Object.hasOwn(row, name)) Reflect.deleteProperty(row, name);
      }
    }
    return rows;
  };
}

function copyingSteps(table: Pick<RestTable, 'lift' | 'set' | 'drop'>): RecordShape['records'] {
  const steps: Step[] = [...(table.lift ?? []).map(liftStep), ...Object.entries(table.set ?? {}).map(setStep)];
  const {drop = []} = table;
  if (drop.length > 0)
    steps.push((record) => {
      for (const name of drop) Reflect.deleteProperty(record, name);
    });
  if (steps.length === 0) return (rows) => rows;
  return (rows, scope) =>
    rows.map((source): JsonObject => {
      const record = {...source};
      for (const step of steps) step(record, source, scope);
      return record;
    });
}

/** The fields of an inner object come up; its own name goes. */
function liftStep(path: string): Step {
  const read = pathReader(path);
  const [top, ...rest] = pathSteps(path);
  return (record) => {
    const inner = read(record);
    if (rest.length === 0 && top !== undefined) Reflect.deleteProperty(record, top);
    if (isJsonObject(inner)) Object.assign(record, inner);
  };
}

function setStep([name, maker]: readonly [string, NonNullable<RestTable['set']>[string]]): Step {
  if (typeof maker !== 'function')
    return (record) => {
      record[name] = maker;
    };
  return (record, source, scope) => {
    const value = maker(source, scope);
    if (value === undefined) Reflect.deleteProperty(record, name);
    else record[name] = value;
  };
}

function isList(made: JsonObject | readonly JsonObject[]): made is readonly JsonObject[] {
  return Array.isArray(made);
}
