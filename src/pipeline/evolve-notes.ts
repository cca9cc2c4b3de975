import {IngestError} from '../core/errors.ts';
import {typeToDdl} from '../core/schema-ddl.ts';
import type {SchemaChange, SettledFlow} from './evolve-plan.ts';
import type {FlowNote} from './services.ts';

type Note = Pick<FlowNote, 'level' | 'code' | 'message'>;

/** What the event log says of schema changes that were made. */
export function changeNotes({flow, changes}: SettledFlow): readonly Note[] {
  if (flow.rescueUnknown) return keptNotes(flow.name, changes);
  const added = changes.filter((change) => change.kind === 'added');
  const incompatible = new Set(changes.filter(isRetyped).map(({path}) => path));
  const notes: Note[] = changes.flatMap((change) => noteOf(change, flow.name, incompatible));
  if (added.length === 0) return notes;
  const names = added.map(({path}) => path).join(', ');
  return [{level: 'INFO', code: 'COLUMNS_ADDED', message: `New columns: ${names}.`}, ...notes];
}

function isRetyped({kind}: SchemaChange): boolean {
  return kind === 'incompatible';
}

function keptNotes(table: string, changes: readonly SchemaChange[]): readonly Note[] {
  if (changes.length === 0) return [];
  const message = `The source of ${table} has another schema, which is kept as it is (schema_evolution: quarantine); what does not fit goes to _rescued_data: ${changes.map(changeText).join('; ')}.`;
  return [{level: 'WARN', code: 'SCHEMA_DIFFERS', message}];
}

function noteOf(change: SchemaChange, table: string, incompatible: ReadonlySet<string>): readonly Note[] {
  const {path} = change;
  switch (change.kind) {
    case 'added':
      return [];
    case 'dropped':
      return [
        {
          level: 'INFO',
          code: 'COLUMN_DROPPED',
          message: `Column "${path}" of ${table} comes from the source no more: it is kept, and NULL in new rows.`,
        },
      ];
    case 'revived':
      return incompatible.has(path)
        ? [{level: 'WARN', code: 'COLUMN_REVIVED', message: `Column "${path}" of ${table} is back with another type.`}]
        : [{level: 'INFO', code: 'COLUMN_REVIVED', message: `Column "${path}" of ${table} is back in the source.`}];
    case 'renamed':
      return [
        {
          level: 'INFO',
          code: 'COLUMN_RENAMED',
          message: `Column "${change.from}" of ${table} is called "${path}" now.`,
        },
      ];
    case 'apart':
      return [
        {
          level: 'WARN',
          code: 'COLUMN_NAMED_APART',
          message: `Column "${change.source}" lands as "${path}" in ${table}: another column differs by the case of its name only.`,
        },
      ];
    case 'widened':
    case 'incompatible':
      return [{level: 'INFO', code: 'COLUMN_TYPE_CHANGED', message: `${table}: ${changeText(change)}.`}];
  }
}

/** A change in a few words. */
export function changeText(change: SchemaChange): string {
  const {path} = change;
  switch (change.kind) {
    case 'added':
      return `"${path}"${change.to === null ? '' : ` (${typeToDdl(change.to)})`} is new`;
    case 'dropped':
      return `"${path}" is gone`;
    case 'revived':
      return `"${path}" is back`;
    case 'renamed':
      return `"${change.from}" is called "${path}"`;
    case 'apart':
      return `"${change.source}" differs from another column by the case of its name only`;
    case 'widened':
    case 'incompatible':
      return `"${path}" was ${change.from === null ? '?' : typeToDdl(change.from)} and is ${change.to === null ? '?' : typeToDdl(change.to)}`;
  }
}

/** The error of a flow whose rows cannot stay under the source's schema, or whose schema is frozen. */
export function refusedChange(settled: SettledFlow, reloadedAtMs: number | null): IngestError {
  const {flow, refused} = settled;
  const list = refused.map(changeText).join('; ');
  const context = {table: flow.name, columns: refused.map(({path}) => path).join(', ')};
  if (flow.configuration.schemaEvolution === 'freeze') {
    return new IngestError(
      'INCOMPATIBLE_SCHEMA_CHANGE',
      `The schema of ${flow.name} is frozen, and its source has another one: ${list}. Nothing was written.`,
      {
        fix: 'Take the change back in the source, leave columns out with exclude_columns, or set schema_evolution: evolve for one run.',
        context,
      },
    );
  }
  return new IngestError(
    'INCOMPATIBLE_SCHEMA_CHANGE',
    `Rows of ${flow.name} cannot stay under the schema that its source has now: ${list}.${sinceText(reloadedAtMs)}`,
    {fix: fixOf(settled), context},
  );
}

function sinceText(reloadedAtMs: number | null): string {
  if (reloadedAtMs === null) return '';
  return ` The table was reloaded by auto_full_refresh_policy at ${new Date(reloadedAtMs).toISOString()}, too short ago to do it again.`;
}

function fixOf({flow}: SettledFlow): string {
  const hint = 'Keep the type with schema_hints, which rescues what does not fit';
  if (flow.target === 'scd2')
    return `${hint}. The history of the table cannot be read anew under another type: for that, choose another destination_table.`;
  return `Read the table anew: sluice run --full-refresh-tables ${flow.name}. Or ${hint.charAt(0).toLowerCase()}${hint.slice(1)}.`;
}
