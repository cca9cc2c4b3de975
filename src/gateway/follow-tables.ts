import {IngestError} from '../core/errors.ts';
import type {Finding, LogTable} from '../sdk/change-log.ts';
import type {ResetBody} from '../staging/entry.ts';
import {readPlans} from '../staging/snapshot-files.ts';
import {demandOf, type StagedTable} from '../staging/state.ts';
import type {GatewayCore} from './gateway-core.ts';

/** Tables that are wanted. */
export interface WantedTables {
  /** All that were asked for. */
  readonly names: ReadonlySet<string>;
  /** Those that are there and can be followed. */
  readonly tables: ReadonlyMap<string, LogTable>;
}

/**
 * Asks which tables are wanted, and which of them can be followed.
 * @throws UNSUPPORTED when the source as a whole cannot be followed
 */
export async function wantedTables(core: GatewayCore, signal: AbortSignal): Promise<WantedTables> {
  const {source, options, facts} = core;
  const names = await options.tables(signal);
  const context = core.context(signal);
  const findings = await source.preflight(names, context);
  const [error] = findings.filter(({level, table}) => level === 'error' && table === undefined);
  if (error !== undefined) {
    throw new IngestError('UNSUPPORTED', `The source cannot be followed: ${error.message}`, {
      ...(error.fix === undefined ? {} : {fix: error.fix}),
      context: {finding: error.code},
    });
  }
  tellFindings(core, findings);
  const accepted = names.filter((name) => !facts.blocked.has(name));
  return {names: new Set(names), tables: await source.describe(accepted, context)};
}

/** Findings are told when they are new. */
function tellFindings(core: GatewayCore, findings: readonly Finding[]): void {
  const {facts, event} = core;
  const blocked = new Map<string, string>();
  facts.noTables.clear();
  for (const finding of findings) {
    const {level, table, fix} = finding;
    const isBlocked = table !== undefined && level === 'error';
    const message = isBlocked ? `${finding.message}${fix === undefined ? '' : ` ${fix}`}` : finding.message;
    if (isBlocked) blocked.set(table, message);
    if (isBlocked && finding.isTable === false) facts.noTables.add(table);
    const text = JSON.stringify(finding);
    if (facts.findings.has(text)) continue;
    facts.findings.add(text);
    const about = {finding, ...(table === undefined ? {} : {table})};
    const severity = finding.isTable === false ? 'info' : 'error';
    if (isBlocked) event('table_blocked', severity, `${table} cannot be followed: ${message}`, about);
    else event('finding', level === 'error' ? 'error' : level, message, about);
  }
  facts.blocked.clear();
  for (const [table, message] of blocked) facts.blocked.set(table, message);
}

/** True when other tables are wanted than are followed, or one of them is another table under the same name. */
export function isChanged(core: GatewayCore, {tables}: WantedTables): boolean {
  const {facts, manifest} = core;
  if (tables.size !== facts.followed.size) return true;
  for (const [name, {id}] of tables) {
    if (!facts.followed.has(name) || manifest.state.tables.get(name)?.table.id !== id) return true;
  }
  return false;
}

/** Writes down which tables are followed from here on. Their log must be open, or be opened from before. */
export async function recordTables(core: GatewayCore, {names, tables}: WantedTables): Promise<void> {
  const {manifest, facts, event} = core;
  for (const [name, table] of tables) {
    const staged = manifest.state.tables.get(name);
    if (staged === undefined) {
      await manifest.append({kind: 'table', action: 'added', name, table});
      event('table_added', 'info', `${name} is followed.`, {table: name});
    } else if (staged.table.id !== table.id) {
      await resetTable(core, {name, reason: 'recreated', message: 'The source table was made anew.', table});
    }
  }
  for (const [name, staged] of manifest.state.tables) {
    const {table} = staged;
    if (tables.has(name)) continue;
    const message = facts.blocked.get(name);
    if (!names.has(name) || message === undefined) {
      await manifest.append({kind: 'table', action: 'removed', name, table});
      event('table_removed', 'warning', `${name} is no longer followed.`, {table: name});
    } else if (await mayLackChanges(core, staged))
      await resetTable(core, {name, reason: 'unsupported_change', message, table: null});
  }
  facts.followed = new Set(tables.keys());
}

/**
 * True when something that is staged of a table, or was begun, would be gone on with once it is followed again, without what happened until
 * then.
 */
async function mayLackChanges({manifest, facts}: GatewayCore, staged: StagedTable): Promise<boolean> {
  const {name, table, reset, snapshot} = staged;
  if (reset === null || facts.followed.has(name)) return true;
  const plans = await readPlans(manifest.staging, table.id);
  return plans.some(({plan}) => plan.demand === demandOf(staged) && plan.id !== snapshot?.id);
}

/** A table must be read anew: written down before anybody is told. */
export async function resetTable(core: GatewayCore, reset: Omit<ResetBody, 'kind'>): Promise<void> {
  await core.manifest.append({kind: 'reset', ...reset});
  core.event('table_reset', 'warning', `${reset.name} is read anew: ${reset.message}`, {table: reset.name});
}
