import type {Finding} from '../../sdk/index.ts';
import {isIngestError} from '../../sdk/index.ts';
import type {CaptureInstance} from './capture-instances.ts';
import {readInstances} from './capture-instances.ts';
import type {SourceTable} from './catalog.ts';
import {describeTable, numberOf, splitName, tableSql, textOf} from './catalog.ts';
import type {ChangeMethod} from './log-mark.ts';
import type {Session} from './session.ts';
import type {StateOptions, TableState} from './table-method.ts';
import {methodOf, readTableStates} from './table-method.ts';

const LOOKING = {what: 'check the settings of the database'};
const THREE_DAYS_MINUTES = 3 * 1440;
/** SQL Server 2016: sys.dm_db_log_stats came with its second service pack. */
const OLDEST_VERSION = 13;
const AZURE_SQL = 5;

/** Whether tables can be followed, by which method each, and what mends what is missing. Changes nothing. */
export async function preflight(
  session: Session,
  tables: readonly string[],
  options: StateOptions,
): Promise<readonly Finding[]> {
  const database = await readSettings(session);
  const findings: Finding[] = [];
  const used = new Set<ChangeMethod>(options.changeMethod === 'auto' ? [] : [options.changeMethod]);
  const found = new Map<string, SourceTable | null>();
  for (const name of tables) found.set(name, await describeTable(session, splitName(name), options));
  let isCaptureHidden = false;
  const ids = [...found.values()].flatMap((table) => (table?.kind === 'table' ? [table.id] : []));
  const states = await readTableStates(session, ids, options, async (reading, others) => {
    const instances = await readableInstances(reading, others);
    isCaptureHidden = instances === null;
    return instances ?? [];
  });
  let isEndHidden: Promise<boolean> | null = null;
  const asked = {
    session,
    options,
    database,
    states,
    isCaptureHidden,
    isEndHidden: () => (isEndHidden ??= isRefused(session, LOG_END)),
  };
  const tracked: string[] = [];
  for (const [name, table] of found) {
    const checked = await checkTable(asked, table);
    if (checked.method === 'change_tracking') tracked.push(name);
    if (checked.method !== null) used.add(checked.method);
    findings.push(...checked.findings.map((finding) => ({...finding, table: name})));
  }
  const isChosen = options.changeMethod === 'auto' && tracked.length > 0;
  return [...(await checkDatabase(asked, used)), ...(isChosen ? [trackedTables(tracked)] : []), ...findings];
}

/** Nothing is to be mended of these: one finding for all. */
function trackedTables(names: readonly string[]): Finding {
  const shown = names.slice(0, MAX_NAMES).join(', ');
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return {level: 'info', code: 'FOLLOWED_BY', message: `Followed by change tracking: ${shown}${more}.`};
}

const MAX_NAMES = 50;

/** What is asked, and with what. */
interface Asked {
  readonly session: Session;
  readonly options: StateOptions;
  readonly database: Settings;
  readonly states: ReadonlyMap<number, TableState>;
  /** The user may not read the schema cdc. */
  readonly isCaptureHidden: boolean;
  /** Whether the user may not see the end of the transaction log. */
  readonly isEndHidden: () => Promise<boolean>;
}

interface Settings {
  readonly version: number;
  readonly edition: number;
  readonly allowsSnapshots: boolean;
  readonly isCaptured: boolean;
  readonly isTracked: boolean;
  /** Changes of change tracking are kept for so long; null: for ever. */
  readonly retentionMinutes: number | null;
  readonly name: string;
}

const SETTINGS = `select convert(int, serverproperty('ProductMajorVersion')), convert(int, serverproperty('EngineEdition')), convert(int, d.snapshot_isolation_state),
 convert(int, d.is_cdc_enabled), case when t.database_id is null then 0 else 1 end, convert(int, t.is_auto_cleanup_on),
 case t.retention_period_units when 1 then t.retention_period when 2 then t.retention_period * 60 else t.retention_period * 1440 end, d.name
 from sys.databases as d left join sys.change_tracking_databases as t on t.database_id = d.database_id where d.database_id = db_id()`;

async function readSettings(session: Session): Promise<Settings> {
  const [row = []] = await session.query(SETTINGS, LOOKING);
  const [version = 0, edition = 0, snapshots, captures, tracks, cleansUp, retention = 0] = row.map(numberOf);
  return {
    version,
    edition,
    allowsSnapshots: snapshots === 1,
    isCaptured: captures === 1,
    isTracked: tracks === 1,
    retentionMinutes: cleansUp === 1 ? retention : null,
    name: `[${textOf(row[7]).replaceAll(']', ']]')}]`,
  };
}

async function checkDatabase(asked: Asked, used: ReadonlySet<ChangeMethod>): Promise<readonly Finding[]> {
  const {database, options} = asked;
  const {version, edition, name} = database;
  const findings: Finding[] = [];
  if (version < OLDEST_VERSION && edition !== AZURE_SQL) {
    findings.push({
      level: 'warning',
      code: 'VERSION',
      message: `Version ${version} is older than those that this connector is made for: SQL Server 2016 SP2 (13) and later.`,
    });
  }
  if (!database.allowsSnapshots) {
    findings.push({
      level: 'error',
      code: 'SNAPSHOT_ISOLATION',
      message: 'The database allows no snapshot isolation: rows and changes cannot be read at one moment.',
      fix: `ALTER DATABASE ${name} SET ALLOW_SNAPSHOT_ISOLATION ON`,
    });
  }
  if (options.changeMethod === 'auto' && !database.isTracked && !database.isCaptured) {
    const message = 'Neither change tracking nor change data capture of the database is on.';
    findings.push({level: 'error', code: 'CHANGE_TRACKING', message, fix: trackDatabase(database)});
  }
  if (used.has('change_tracking')) findings.push(...checkTrackedDatabase(database));
  if (used.has('cdc')) findings.push(...(await checkCapturedDatabase(asked)));
  return findings;
}

function checkTrackedDatabase(database: Settings): readonly Finding[] {
  const {isTracked, retentionMinutes, name} = database;
  if (!isTracked) {
    const message = 'Change tracking of the database is off.';
    return [{level: 'error', code: 'CHANGE_TRACKING', message, fix: trackDatabase(database)}];
  }
  if (retentionMinutes === null || retentionMinutes >= THREE_DAYS_MINUTES) return [];
  return [
    {
      level: 'warning',
      code: 'RETENTION',
      message: `Changes are kept for ${Math.round(retentionMinutes / 60)} hours: a gateway that stands still for longer reads its tables anew.`,
      fix: `ALTER DATABASE ${name} SET CHANGE_TRACKING (CHANGE_RETENTION = 7 DAYS)`,
    },
  ];
}

function trackDatabase({name}: Settings): string {
  return `ALTER DATABASE ${name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)`;
}

const RETENTION = `select convert(int, j.retention) from msdb.dbo.cdc_jobs as j where j.database_id = db_id() and j.job_type = N'cleanup'`;
const LOG_END = `select log_end_lsn from sys.dm_db_log_stats(db_id())`;
const CAPTURE_DATABASE = 'EXEC sys.sp_cdc_enable_db';

const END_HIDDEN: Finding = {
  level: 'error',
  code: 'VIEW_DATABASE_STATE',
  message: 'The end of the transaction log cannot be read: first readings cannot be joined with the changes.',
  fix: 'GRANT VIEW DATABASE STATE TO the user',
};

async function checkCapturedDatabase({session, database, options, isEndHidden}: Asked): Promise<readonly Finding[]> {
  if (!database.isCaptured) {
    const message = 'Change data capture of the database is off.';
    return [{level: 'error', code: 'CDC', message, fix: CAPTURE_DATABASE}];
  }
  const findings: Finding[] = [];
  // Where other tables do without, only those that need it are kept back.
  if (options.changeMethod === 'cdc' && (await isEndHidden())) findings.push(END_HIDDEN);
  const retention = await minutesOf(session, RETENTION);
  if (retention !== null && retention < THREE_DAYS_MINUTES) {
    findings.push({
      level: 'warning',
      code: 'RETENTION',
      message: `Captured changes are kept for ${Math.round(retention / 60)} hours: a gateway that stands still for longer reads its tables anew.`,
      fix: `EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 10080`,
    });
  }
  return findings;
}

interface Checked {
  readonly method: ChangeMethod | null;
  /** Without the table's name. */
  readonly findings: readonly Finding[];
}

async function checkTable(asked: Asked, table: SourceTable | null): Promise<Checked> {
  const {session, options, states} = asked;
  const {changeMethod: wanted} = options;
  if (table === null) {
    const message = 'The table does not exist, or the user may not see it.';
    return {
      method: null,
      findings: [{level: 'error', code: 'UNKNOWN_TABLE', message, fix: 'Names are schema.table.'}],
    };
  }
  if (table.kind === 'view') {
    const fix = 'Follow its tables, or read the view by a cursor column.';
    return {
      method: null,
      findings: [{level: 'error', code: 'VIEW', message: 'A view has no changes of its own.', fix, isTable: false}],
    };
  }
  const permissions = await checkPermission(session, table);
  if (wanted === 'change_tracking') {
    const problem = await whyNotTracked(asked, table);
    return {method: wanted, findings: [...(problem === null ? [] : [problem]), ...permissions]};
  }
  const state = states.get(table.id) ?? {table, oldestVersion: null, instances: []};
  const {method} = methodOf(state, wanted);
  const findings = method === 'change_tracking' ? [] : await checkCapture(asked, table, state);
  return {method: method ?? (wanted === 'cdc' ? wanted : null), findings: [...findings, ...permissions]};
}

/** A table that change tracking does not tell, or that is not to be followed by it. */
async function checkCapture(asked: Asked, table: SourceTable, {instances}: TableState): Promise<readonly Finding[]> {
  const isAuto = asked.options.changeMethod === 'auto';
  const notTracked = isAuto ? await whyNotTracked(asked, table) : null;
  const newest = instances.at(-1);
  if (newest === undefined) {
    // A key is there: change tracking is the shorter way.
    if (notTracked !== null && notTracked.code !== 'NO_PRIMARY_KEY')
      return [{...notTracked, message: `${notTracked.message} It has no capture instance either.`}];
    return [notCaptured(asked, table)];
  }
  const findings: Finding[] = [];
  if (notTracked !== null) {
    const message = `Followed by change data capture. ${notTracked.message}`;
    const {fix} = notTracked;
    findings.push({
      level: 'info',
      code: 'FOLLOWED_BY',
      message,
      ...(fix !== undefined && {fix: `For change tracking, with which it would be read anew: ${fix}`}),
    });
    if (await asked.isEndHidden()) findings.push(END_HIDDEN);
  }
  return [...findings, ...checkInstance(table, newest)];
}

const TRACKING = `select case when exists (select 1 from sys.change_tracking_tables as t where t.object_id = object_id(@table)) then 1 else 0 end,
 has_perms_by_name(@table, N'OBJECT', N'VIEW CHANGE TRACKING')`;

/** Why change tracking does not tell the changes of a table, and what mends that; null when it does. */
async function whyNotTracked({session, database, options}: Asked, table: SourceTable): Promise<Finding | null> {
  if (table.primaryKey.length === 0) {
    return {
      level: 'error',
      code: 'NO_PRIMARY_KEY',
      message: 'Change tracking needs a primary key, which the table has not.',
      fix:
        options.changeMethod === 'auto'
          ? 'add a primary key'
          : 'Add one, or let the table be followed by change data capture: change_method: auto.',
    };
  }
  const sql = tableSql(table);
  const [row] = await session.query(TRACKING, LOOKING, [{name: 'table', type: 'text', value: sql}]);
  if (row?.[0] !== 1) {
    const before = options.changeMethod === 'auto' && !database.isTracked ? `${trackDatabase(database)}; ` : '';
    return {
      level: 'error',
      code: 'TABLE_CHANGE_TRACKING',
      message: 'Change tracking of the table is off.',
      fix: `${before}ALTER TABLE ${sql} ENABLE CHANGE_TRACKING`,
    };
  }
  if (row[1] === 1) return null;
  return {
    level: 'error',
    code: 'VIEW_CHANGE_TRACKING',
    message: 'The user may not see what change tracking tells of the table.',
    fix: `GRANT VIEW CHANGE TRACKING ON ${sql} TO the user`,
  };
}

function notCaptured({database, options, isCaptureHidden}: Asked, table: SourceTable): Finding {
  if (isCaptureHidden) {
    return {
      level: 'error',
      code: 'CDC_PERMISSION',
      message: 'The user may not read the schema cdc.',
      fix: 'GRANT SELECT ON SCHEMA::cdc TO the user; where an instance has a gating role, add the user to it.',
    };
  }
  const isAuto = options.changeMethod === 'auto';
  const literal = (name: string): string => `N'${name.replaceAll("'", "''")}'`;
  const before = isAuto && !database.isCaptured ? `${CAPTURE_DATABASE}; ` : '';
  return {
    level: 'error',
    code: 'CAPTURE_INSTANCE',
    message: isAuto
      ? 'The table has no primary key, which change tracking needs, and no capture instance.'
      : 'The table has no capture instance.',
    fix: `${before}EXEC sys.sp_cdc_enable_table @source_schema = ${literal(table.schema)}, @source_name = ${literal(table.name)}, @role_name = NULL`,
  };
}

function checkInstance(table: SourceTable, {name, ordinals}: CaptureInstance): readonly Finding[] {
  const missing = table.columns.filter(({id}) => !ordinals.has(id)).map((column) => column.name);
  const findings: Finding[] = [];
  if (missing.length > 0) {
    findings.push({
      level: 'warning',
      code: 'CAPTURED_COLUMNS',
      message: `The capture instance ${name} leaves columns out, which do not land: ${missing.join(', ')}.`,
      fix: 'Create a second capture instance of the table; the gateway goes over to it. Drop the old one afterwards.',
    });
  }
  if (table.primaryKey.length === 0) {
    findings.push({
      level: 'warning',
      code: 'NO_PRIMARY_KEY',
      message: 'Without a primary key rows are known by all their columns together, and the first reading is one part.',
      fix: 'Add a primary key.',
    });
  }
  return findings;
}

async function checkPermission(session: Session, table: SourceTable): Promise<readonly Finding[]> {
  const sql = `select has_perms_by_name(@table, N'OBJECT', N'SELECT')`;
  const [row] = await session.query(sql, LOOKING, [{name: 'table', type: 'text', value: tableSql(table)}]);
  if (row?.[0] !== 0) return [];
  const fix = `GRANT SELECT ON ${tableSql(table)} TO the user`;
  return [{level: 'error', code: 'SELECT', message: 'The user may not read the table.', fix}];
}

/** Null when the user may not see them. */
async function readableInstances(
  session: Session,
  tables: readonly number[],
): Promise<readonly CaptureInstance[] | null> {
  try {
    return await readInstances(session, tables);
  } catch (error) {
    if (isIngestError(error, 'PERMISSION_DENIED')) return null;
    throw error;
  }
}

async function isRefused(session: Session, sql: string): Promise<boolean> {
  try {
    await session.query(sql, LOOKING);
    return false;
  } catch (error) {
    if (isIngestError(error, 'PERMISSION_DENIED')) return true;
    throw error;
  }
}

/** Null where the user may not know. */
async function minutesOf(session: Session, sql: string): Promise<number | null> {
  try {
    const [row] = await session.query(sql, LOOKING);
    return row === undefined ? null : numberOf(row[0]);
  } catch (error) {
    // Azure SQL Database has no msdb; elsewhere the user may not read it.
    if (isIngestError(error) && error.context['error'] !== 0) return null;
    throw error;
  }
}
