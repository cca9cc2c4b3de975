import type {Finding} from '../../sdk/index.ts';
import type {SourceTable} from './catalog.ts';
import type {Session} from './session.ts';

const LOOKING = {what: 'check the settings of the server'};
const DAY_SECONDS = 86_400;

/** What the server's settings say about following its log. Changes nothing. */
export async function checkServer(session: Session, readerId: number): Promise<readonly Finding[]> {
  const settings = await readSettings(session);
  const findings = [...checkLog(settings), ...checkRetention(settings)];
  if (!session.isMariaDb) findings.push(...checkGtids(settings));
  findings.push(...checkVersion(session));
  if (Number(settings.get('server_id')) === readerId) {
    findings.push({
      level: 'error',
      code: 'SERVER_ID',
      message: `The gateway's number as a reader, ${readerId}, is the server's own server_id.`,
      fix: 'Choose another gateway name.',
    });
  }
  findings.push(...(await checkPrivileges(session)));
  return findings;
}

/** Whether a table can be followed. @param name as the user wrote it. */
export function checkTable(table: SourceTable | null, name: string): readonly Finding[] {
  if (table === null) {
    const message = 'The table does not exist, or the user may not see it.';
    return [{level: 'error', code: 'UNKNOWN_TABLE', message, fix: 'Names are database.table.', table: name}];
  }
  if (table.kind === 'view') {
    return [
      {
        level: 'error',
        code: 'VIEW',
        message: 'A view has no rows in the binary log.',
        fix: 'Follow its tables, or read the view by a cursor column.',
        table: name,
        isTable: false,
      },
    ];
  }
  const findings: Finding[] = [];
  if (table.primaryKey.length === 0) {
    findings.push({
      level: 'warning',
      code: 'NO_PRIMARY_KEY',
      message: 'Without a primary key rows are known by all their columns together, and the first reading is one part.',
      fix: 'Add a primary key.',
      table: name,
    });
  }
  const isTransactional = table.engine !== null && TRANSACTIONAL.has(table.engine.toLowerCase());
  if (!isTransactional) {
    findings.push({
      level: 'warning',
      code: 'ENGINE',
      message: `The engine ${table.engine ?? 'of the table'} has no transactions: a reading may see changes that come again in the log.`,
      fix: `ALTER TABLE ... ENGINE = InnoDB`,
      table: name,
    });
  }
  return findings;
}

const TRANSACTIONAL = new Set(['innodb', 'rocksdb']);

const SETTINGS = [
  'log_bin',
  'binlog_format',
  'binlog_row_image',
  'binlog_row_metadata',
  'binlog_row_value_options',
  'binlog_expire_logs_seconds',
  'expire_logs_days',
  'gtid_mode',
  'enforce_gtid_consistency',
  'server_id',
  'log_slave_updates',
  'log_replica_updates',
];

async function readSettings(session: Session): Promise<ReadonlyMap<string, string>> {
  const list = SETTINGS.map((name) => `'${name}'`).join(', ');
  const rows = await session.query(`show global variables where variable_name in (${list})`, LOOKING);
  return new Map(rows.map(([name, value]) => [name ?? '', value ?? '']));
}

function checkLog(settings: ReadonlyMap<string, string>): readonly Finding[] {
  const findings: Finding[] = [];
  const demand = (name: string, wanted: string, why: string): void => {
    const value = settings.get(name);
    if (value === undefined || value.toUpperCase() === wanted) return;
    findings.push({
      level: 'error',
      code: name.toUpperCase(),
      message: `${name} is ${value}: ${why}.`,
      fix: `SET GLOBAL ${name} = ${wanted}, and in the server's configuration.`,
    });
  };
  if (settings.get('log_bin')?.toUpperCase() !== 'ON') {
    findings.push({
      level: 'error',
      code: 'LOG_BIN',
      message: 'The server writes no binary log.',
      fix: 'Set log_bin and restart the server; on RDS, switch automatic backups on.',
    });
  }
  demand('binlog_format', 'ROW', 'the log holds statements instead of rows');
  demand('binlog_row_image', 'FULL', 'rows in the log are not whole');
  demand('binlog_row_metadata', 'FULL', 'the log does not name the columns of its rows');
  if ((settings.get('binlog_row_value_options') ?? '') !== '') {
    findings.push({
      level: 'error',
      code: 'BINLOG_ROW_VALUE_OPTIONS',
      message: 'Updates of JSON columns stand in the log in parts (PARTIAL_JSON).',
      fix: `SET GLOBAL binlog_row_value_options = ''`,
    });
  }
  if (settings.get('binlog_row_metadata') === undefined) {
    findings.push({
      level: 'error',
      code: 'BINLOG_ROW_METADATA',
      message: 'This version does not name the columns of the rows in its log.',
      fix: 'MySQL from 8.0.1 and MariaDB from 10.5 on do.',
    });
  }
  return findings;
}

function checkRetention(settings: ReadonlyMap<string, string>): readonly Finding[] {
  const seconds = Number(settings.get('binlog_expire_logs_seconds') ?? 0);
  const days = Number(settings.get('expire_logs_days') ?? 0);
  const kept = seconds > 0 ? seconds : days * DAY_SECONDS;
  if (kept === 0 || kept >= 3 * DAY_SECONDS) return [];
  return [
    {
      level: 'warning',
      code: 'RETENTION',
      message: `The log is kept for ${Math.round(kept / 3600)} hours: a gateway that stands still for longer reads its tables anew.`,
      fix: 'SET GLOBAL binlog_expire_logs_seconds = 604800; on RDS: CALL mysql.rds_set_configuration("binlog retention hours", 168).',
    },
  ];
}

function checkGtids(settings: ReadonlyMap<string, string>): readonly Finding[] {
  const mode = settings.get('gtid_mode') ?? 'OFF';
  if (mode.toUpperCase() === 'ON') return [];
  return [
    {
      level: 'error',
      code: 'GTID_MODE',
      message: `gtid_mode is ${mode}: transactions have no names by which a first reading and the log can be joined.`,
      fix: 'SET GLOBAL enforce_gtid_consistency = ON; SET GLOBAL gtid_mode = OFF_PERMISSIVE, then ON_PERMISSIVE, then ON.',
    },
  ];
}

function checkVersion(session: Session): readonly Finding[] {
  const [major = 0, minor = 0] = session.version.split('.').map(Number);
  const isOld = session.isMariaDb ? major < 10 || (major === 10 && minor < 6) : major < 8;
  if (!isOld) return [];
  return [
    {
      level: 'warning',
      code: 'VERSION',
      message: `Version ${session.version} is older than those that this connector is tested with: MySQL 8, MariaDB 10.6.`,
    },
  ];
}

/** Grants are told in words; a statement that needs the privilege tells the truth. */
async function checkPrivileges(session: Session): Promise<readonly Finding[]> {
  const rows = await session.query('show grants', LOOKING);
  const grants = rows.map(([grant]) => (grant ?? '').toUpperCase()).join('\n');
  const hasAll = /GRANT ALL PRIVILEGES ON \*\.\*/.test(grants);
  // Grants by roles are not expanded.
  const isCertain = !/GRANT `|GRANT '/.test(grants);
  const needs = [
    {code: 'REPLICATION_SLAVE', any: ['REPLICATION SLAVE', 'REPLICATION REPLICA']},
    {code: 'REPLICATION_CLIENT', any: ['REPLICATION CLIENT', 'BINLOG MONITOR', 'SUPER']},
  ];
  return needs
    .filter(({any}) => !hasAll && !any.some((name) => grants.includes(name)))
    .map(({code, any}) => ({
      level: isCertain ? ('error' as const) : ('warning' as const),
      code,
      message: `The user lacks the privilege ${any[0]}.`,
      fix: `GRANT ${any[0]} ON *.* TO <user>`,
    }));
}
