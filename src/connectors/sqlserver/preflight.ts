import type {Finding} from '../../sdk/index.ts';
import {isIngestError} from '../../sdk/index.ts';
import {readInstances} from './capture.ts';
import type {SourceTable} from './catalog.ts';
import {numberOf, tableSql, textOf} from './catalog.ts';
import type {ChangeMethod} from './log-mark.ts';
import type {Session} from './session.ts';

const LOOKING = {what: 'check the settings of the database'};
const THREE_DAYS_MINUTES = 3 * 1440;
/** SQL Server 2016: sys.dm_db_log_stats came with its second service pack. */
const OLDEST_VERSION = 13;
const AZURE_SQL = 5;

const SETTINGS = `select convert(int, serverproperty('ProductMajorVersion')), convert(int, serverproperty('EngineEdition')), convert(int, d.snapshot_isolation_state),
 convert(int, d.is_cdc_enabled), case when t.database_id is null then 0 else 1 end, convert(int, t.is_auto_cleanup_on),
 case t.retention_period_units when 1 then t.retention_period when 2 then t.retention_period * 60 else t.retention_period * 1440 end, d.name
 from sys.databases as d left join sys.change_tracking_databases as t on t.database_id = d.database_id where d.database_id = db_id()`;

/** What the database's settings say about following its changes. Changes nothing. */
export async function checkDatabase(session: Session, method: ChangeMethod): Promise<readonly Finding[]> {
  const [row = []] = await session.query(SETTINGS, LOOKING);
  const [version, edition, snapshots, captures, tracks, cleansUp, retention] = row.map(numberOf);
  const name = textOf(row[7]);
  const findings: Finding[] = [];
  if ((version ?? 0) < OLDEST_VERSION && edition !== AZURE_SQL) {
    findings.push({
      level: 'warning',
      code: 'VERSION',
      message: `Version ${version ?? 0} is older than those that this connector is made for: SQL Server 2016 SP2 (13) and later.`,
    });
  }
  if (snapshots !== 1) {
    findings.push({
      level: 'error',
      code: 'SNAPSHOT_ISOLATION',
      message: 'The database allows no snapshot isolation: rows and changes cannot be read at one moment.',
      fix: `ALTER DATABASE [${name}] SET ALLOW_SNAPSHOT_ISOLATION ON`,
    });
  }
  if (method === 'cdc') return [...findings, ...(await checkCapture(session, captures === 1))];
  if (tracks !== 1) {
    findings.push({
      level: 'error',
      code: 'CHANGE_TRACKING',
      message: 'Change tracking of the database is off.',
      fix: `ALTER DATABASE [${name}] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)`,
    });
  } else if (cleansUp === 1 && (retention ?? 0) < THREE_DAYS_MINUTES) {
    findings.push({
      level: 'warning',
      code: 'RETENTION',
      message: `Changes are kept for ${Math.round((retention ?? 0) / 60)} hours: a gateway that stands still for longer reads its tables anew.`,
      fix: `ALTER DATABASE [${name}] SET CHANGE_TRACKING (CHANGE_RETENTION = 7 DAYS)`,
    });
  }
  return findings;
}

const RETENTION = `select convert(int, j.retention) from msdb.dbo.cdc_jobs as j where j.database_id = db_id() and j.job_type = N'cleanup'`;
const LOG_END = `select log_end_lsn from sys.dm_db_log_stats(db_id())`;

async function checkCapture(session: Session, isEnabled: boolean): Promise<readonly Finding[]> {
  if (!isEnabled) {
    return [
      {
        level: 'error',
        code: 'CDC',
        message: 'Change data capture of the database is off.',
        fix: 'EXEC sys.sp_cdc_enable_db',
      },
    ];
  }
  const findings: Finding[] = [];
  if (await isRefused(session, LOG_END)) {
    findings.push({
      level: 'error',
      code: 'VIEW_DATABASE_STATE',
      message: 'The end of the transaction log cannot be read: first readings cannot be joined with the changes.',
      fix: 'GRANT VIEW DATABASE STATE TO the user',
    });
  }
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

/** Whether a table can be followed. @param name as the user wrote it. */
export async function checkTable(
  session: Session,
  table: SourceTable | null,
  {name, method}: {readonly name: string; readonly method: ChangeMethod},
): Promise<readonly Finding[]> {
  if (table === null) {
    const message = 'The table does not exist, or the user may not see it.';
    return [{level: 'error', code: 'UNKNOWN_TABLE', message, fix: 'Names are schema.table.', table: name}];
  }
  if (table.kind === 'view') {
    return [
      {
        level: 'error',
        code: 'VIEW',
        message: 'A view has no changes of its own.',
        fix: 'Follow its tables, or read the view by a cursor column.',
        table: name,
      },
    ];
  }
  const findings =
    method === 'cdc' ? await checkInstance(session, table, name) : await checkTracking(session, table, name);
  const sql = `select has_perms_by_name(@table, N'OBJECT', N'SELECT')`;
  const [row] = await session.query(sql, LOOKING, [{name: 'table', type: 'text', value: tableSql(table)}]);
  if (row?.[0] === 0) {
    findings.push({
      level: 'error',
      code: 'SELECT',
      message: 'The user may not read the table.',
      fix: `GRANT SELECT ON ${tableSql(table)} TO the user`,
      table: name,
    });
  }
  return findings;
}

const TRACKING = `select case when exists (select 1 from sys.change_tracking_tables as t where t.object_id = object_id(@table)) then 1 else 0 end,
 has_perms_by_name(@table, N'OBJECT', N'VIEW CHANGE TRACKING')`;

async function checkTracking(session: Session, table: SourceTable, name: string): Promise<Finding[]> {
  if (table.primaryKey.length === 0) {
    return [
      {
        level: 'error',
        code: 'NO_PRIMARY_KEY',
        message: 'Change tracking needs a primary key.',
        fix: 'Add one, or follow the table by change data capture: a connection with change_method: cdc, in a gateway of its own.',
        table: name,
      },
    ];
  }
  const sql = tableSql(table);
  const [row] = await session.query(TRACKING, LOOKING, [{name: 'table', type: 'text', value: sql}]);
  const findings: Finding[] = [];
  if (row?.[0] !== 1) {
    findings.push({
      level: 'error',
      code: 'TABLE_CHANGE_TRACKING',
      message: 'Change tracking of the table is off.',
      fix: `ALTER TABLE ${sql} ENABLE CHANGE_TRACKING`,
      table: name,
    });
  } else if (row[1] !== 1) {
    findings.push({
      level: 'error',
      code: 'VIEW_CHANGE_TRACKING',
      message: 'The user may not see the changes of the table.',
      fix: `GRANT VIEW CHANGE TRACKING ON ${sql} TO the user`,
      table: name,
    });
  }
  return findings;
}

async function checkInstance(session: Session, table: SourceTable, name: string): Promise<Finding[]> {
  const instances = await readableInstances(session, table);
  const newest = instances?.at(-1);
  if (newest === undefined) {
    return [
      {
        level: 'error',
        code: instances === null ? 'CDC_PERMISSION' : 'CAPTURE_INSTANCE',
        message: instances === null ? 'The user may not read the schema cdc.' : 'The table has no capture instance.',
        fix:
          instances === null
            ? 'GRANT SELECT ON SCHEMA::cdc TO the user; where an instance has a gating role, add the user to it.'
            : `EXEC sys.sp_cdc_enable_table @source_schema = N'${table.schema}', @source_name = N'${table.name}', @role_name = NULL`,
        table: name,
      },
    ];
  }
  const missing = table.columns.filter(({id}) => !newest.ordinals.has(id)).map((column) => column.name);
  const findings: Finding[] = [];
  if (missing.length > 0) {
    findings.push({
      level: 'warning',
      code: 'CAPTURED_COLUMNS',
      message: `The capture instance ${newest.name} leaves columns out, which do not land: ${missing.join(', ')}.`,
      fix: 'Create a second capture instance of the table; the gateway goes over to it. Drop the old one afterwards.',
      table: name,
    });
  }
  if (table.primaryKey.length === 0) {
    findings.push({
      level: 'warning',
      code: 'NO_PRIMARY_KEY',
      message: 'Without a primary key rows are known by all their columns together, and the first reading is one part.',
      fix: 'Add a primary key.',
      table: name,
    });
  }
  return findings;
}

/** Null when the user may not see them. */
async function readableInstances(
  session: Session,
  table: SourceTable,
): Promise<Awaited<ReturnType<typeof readInstances>> | null> {
  try {
    return await readInstances(session, [table.id]);
  } catch (error) {
    if (isIngestError(error, 'PERMISSION_DENIED')) return null;
    // Without change data capture there is no such schema; the finding about the database says so.
    if (isIngestError(error, 'UNKNOWN_TABLE')) return [];
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
