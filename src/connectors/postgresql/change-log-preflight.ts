import type {Finding} from '../../sdk/index.ts';
import {isIngestError} from '../../sdk/index.ts';
import {quoteIdentifier, quoteLiteral} from '../../wire/pg/quote.ts';
import {splitName, tableSql} from './catalog.ts';
import {followedTable} from './log-table.ts';
import type {LogNames} from './publication.ts';
import {describeForeignSlot, hasIdentitySql, partsSql, slotState} from './publication.ts';
import type {Session} from './session.ts';

/** Below this a night without a gateway loses the log of a busy server. */
const SMALL_LIMIT_MB = 10_240;
const LOOKING = {what: 'check the server'};

/** Whether the tables can be followed. Reads only. */
export async function preflight(
  session: Session,
  names: LogNames,
  tables: readonly string[],
): Promise<readonly Finding[]> {
  const findings = [...(await serverFindings(session, names)), ...(await publicationFindings(session, names))];
  for (const table of tables) findings.push(...(await tableFindings(session, names, table)));
  return findings;
}

async function serverFindings(session: Session, names: LogNames): Promise<readonly Finding[]> {
  const {versionNumber, isStandby, checkUtf8} = session.facts;
  const findings: Finding[] = [];
  if (versionNumber < 140_000) {
    findings.push(
      error('VERSION', 'The server is older than PostgreSQL 14.', 'Upgrade the server, or ingest by queries.'),
    );
  }
  if (isStandby) {
    findings.push(
      error('STANDBY', 'The server is a standby: publications are made on the primary.', 'Connect to the primary.'),
    );
  }
  if (checkUtf8) {
    findings.push(
      warning(
        'ENCODING',
        'The database has the encoding SQL_ASCII: a change with a text that is no UTF-8 stops its table.',
        'Convert the database to UTF8.',
      ),
    );
  }
  findings.push(...(await settingFindings(session, names)), ...(await roleFindings(session, names)));
  return findings;
}

async function settingFindings(session: Session, names: LogNames): Promise<readonly Finding[]> {
  const rows = await session.query(
    `select name, setting from pg_settings where name in ('wal_level', 'max_replication_slots', 'max_wal_senders', 'max_slot_wal_keep_size', 'idle_replication_slot_timeout')`,
    LOOKING,
  );
  const settings = new Map(rows.map((row) => [row[0] ?? '', row[1] ?? '']));
  const number = (name: string): number => Number(settings.get(name) ?? 0);
  const [counts] = await session.query(
    'select (select count(*) from pg_replication_slots)::text, (select count(*) from pg_stat_replication)::text',
    LOOKING,
  );
  const findings: Finding[] = [];
  if (settings.get('wal_level') !== 'logical') {
    findings.push(
      error(
        'WAL_LEVEL',
        `wal_level is ${settings.get('wal_level') ?? ''}.`,
        `alter system set wal_level = 'logical'; and restart the server (on managed services: their parameter for logical replication).`,
      ),
    );
  }
  const slot = await slotState(session, names.slot);
  if (slot === null && names.isOwnSlot && Number(counts?.[0] ?? 0) >= number('max_replication_slots')) {
    findings.push(
      error(
        'REPLICATION_SLOTS',
        `All ${number('max_replication_slots')} replication slots are taken.`,
        'Raise max_replication_slots and restart the server, or drop slots that nobody uses.',
      ),
    );
  }
  if (slot?.activePid == null && Number(counts?.[1] ?? 0) >= number('max_wal_senders')) {
    findings.push(
      error(
        'WAL_SENDERS',
        `All ${number('max_wal_senders')} WAL senders are at work.`,
        'Raise max_wal_senders and restart the server.',
      ),
    );
  }
  findings.push(...slotFindings(names, slot));
  const limit = number('max_slot_wal_keep_size');
  if (limit < 0) {
    findings.push(
      info(
        'SLOT_WAL_LIMIT',
        'The server keeps the log for a slot without limit: a gateway that stands still fills its disk.',
        `alter system set max_slot_wal_keep_size = '50GB'; select pg_reload_conf();`,
      ),
    );
  } else if (limit < SMALL_LIMIT_MB) {
    findings.push(
      warning(
        'SLOT_WAL_LIMIT',
        `The server keeps no more than ${limit} MB of log for a slot: a gateway that stands still for longer loses it.`,
        `alter system set max_slot_wal_keep_size = '50GB'; select pg_reload_conf();`,
      ),
    );
  }
  if (number('idle_replication_slot_timeout') > 0) {
    findings.push(
      warning(
        'IDLE_SLOT_TIMEOUT',
        `The server invalidates slots that nobody reads for ${number('idle_replication_slot_timeout')} s.`,
        'alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();',
      ),
    );
  }
  return findings;
}

function slotFindings(names: LogNames, state: Awaited<ReturnType<typeof slotState>>): readonly Finding[] {
  const {slot, isOwnSlot, isNew} = names;
  const make = `select pg_create_logical_replication_slot(${quoteLiteral(slot)}, 'pgoutput');`;
  if (state === null) return isOwnSlot ? [] : [error('SLOT', `The replication slot "${slot}" does not exist.`, make)];
  if (!state.isOfThisDatabase || (isNew && isOwnSlot)) {
    const {message, fix} = describeForeignSlot(names, state);
    return [error('SLOT', message, fix)];
  }
  if (state.plugin !== 'pgoutput')
    return [
      error(
        'SLOT',
        `The replication slot "${slot}" has the plugin "${state.plugin}".`,
        'Name a slot of the plugin pgoutput.',
      ),
    ];
  if (state.invalidation === null) return [];
  const what = `The replication slot "${slot}" was invalidated (${state.invalidation}): its tables must be read anew.`;
  return [
    isOwnSlot
      ? warning('SLOT', what)
      : error('SLOT', what, `select pg_drop_replication_slot(${quoteLiteral(slot)}); ${make}`),
  ];
}

async function roleFindings(session: Session, names: LogNames): Promise<readonly Finding[]> {
  // Amazon RDS gives no attribute but a role.
  const [row] = await session.query(
    `select (r.rolsuper or r.rolreplication or exists (select from pg_roles m where m.rolname in ('rds_replication', 'rds_superuser') and pg_has_role(m.oid, 'USAGE')))::text,
      (has_database_privilege(current_database(), 'CREATE') or exists (select from pg_publication where pubname = ${quoteLiteral(names.publication)}))::text, current_user::text, current_database()::text from pg_roles r where r.rolname = current_user`,
    LOOKING,
  );
  const [replicates, creates, user = '', database = ''] = row ?? [];
  const findings: Finding[] = [];
  if (replicates !== 'true') {
    findings.push(
      error(
        'ROLE',
        `The user "${user ?? ''}" may not replicate.`,
        `alter role ${quoteIdentifier(user ?? '')} with replication; (Amazon RDS: grant rds_replication to ${quoteIdentifier(user ?? '')};)`,
      ),
    );
  }
  if (creates !== 'true' && names.isOwnPublication) {
    findings.push(
      error(
        'ROLE',
        `The user "${user ?? ''}" may not make a publication.`,
        `grant create on database ${quoteIdentifier(database ?? '')} to ${quoteIdentifier(user ?? '')}; or make a publication and name it.`,
      ),
    );
  }
  return findings;
}

/** A publication that somebody else made and keeps. */
async function publicationFindings(
  session: Session,
  {publication, isOwnPublication}: LogNames,
): Promise<readonly Finding[]> {
  if (isOwnPublication) return [];
  const name = quoteIdentifier(publication);
  const [row] = await session.query(
    `select (pubinsert and pubupdate and pubdelete and pubtruncate)::text, pubviaroot::text from pg_publication where pubname = ${quoteLiteral(publication)}`,
    LOOKING,
  );
  if (row === undefined)
    return [
      error(
        'PUBLICATION',
        `The publication "${publication}" does not exist.`,
        `create publication ${name} for table ... with (publish_via_partition_root = true);`,
      ),
    ];
  const findings: Finding[] = [];
  if (row[0] !== 'true') {
    findings.push(
      error(
        'PUBLICATION_ACTIONS',
        `The publication "${publication}" leaves out kinds of changes.`,
        `alter publication ${name} set (publish = 'insert, update, delete, truncate');`,
      ),
    );
  }
  if (row[1] !== 'true') {
    findings.push(
      info(
        'PUBLICATION_ROOT',
        `The publication "${publication}" names the parts of partitioned tables: where one is truncated, its table is read anew.`,
        `alter publication ${name} set (publish_via_partition_root = true);`,
      ),
    );
  }
  return findings;
}

/** What the catalog says of one table, by name of the fact. */
interface TableFacts {
  readonly sql: string;
  readonly kind: string;
  readonly persistence: string;
  readonly isOwner: boolean;
  readonly isReadable: boolean;
  readonly hasRowSecurity: boolean;
  readonly hasChildren: boolean;
  /** Parts whose rows the log cannot name. */
  readonly unnamed: readonly string[];
  readonly isPublished: boolean;
  readonly hasRowFilter: boolean;
  readonly hasColumnList: boolean;
}

async function tableFindings(session: Session, names: LogNames, table: string): Promise<readonly Finding[]> {
  try {
    const followed = await followedTable(session, table, names.publication);
    const facts = await tableFacts(session, {oid: followed.source.oid, table, publication: names.publication});
    const findings = [...kindFindings(facts), ...rightFindings(facts, names), ...publishedFindings(facts, names)];
    if (followed.leftOut.length > 0) {
      findings.push(
        warning(
          'COLUMNS_LEFT_OUT',
          `The log does not hold the columns ${followed.leftOut.map(quoteIdentifier).join(', ')} (generated, or not published).`,
          'From PostgreSQL 18 on a publication can publish stored generated columns; virtual ones never are in the log.',
        ),
      );
    }
    const hasKey = followed.table.columns.some(({isKey}) => isKey);
    if (!hasKey && facts.unnamed.length === 0)
      findings.push(
        info(
          'NO_KEY',
          'The table has no key: its changes can be appended only.',
          `alter table ${facts.sql} add primary key (...);`,
        ),
      );
    if (followed.source.kind === 'p')
      findings.push(
        info(
          'PARTITIONED',
          'Parts that are detached, dropped or truncated by themselves leave no trace in the log: refresh the table in full then.',
        ),
      );
    return findings.map((finding) => ({...finding, table}));
  } catch (failure) {
    if (!isIngestError(failure) || (failure.code !== 'UNKNOWN_TABLE' && failure.code !== 'INVALID_SCHEMA'))
      throw failure;
    return [
      {
        level: 'error',
        code: failure.code,
        message: failure.message,
        ...(failure.fix !== undefined && {fix: failure.fix}),
        table,
      },
    ];
  }
}

function kindFindings(facts: TableFacts): readonly Finding[] {
  const {sql, kind, persistence} = facts;
  if (kind !== 'r' && kind !== 'p') {
    const noTable = error('TABLE_KIND', 'It is no table: the log does not hold its rows.', 'Ingest it by queries.');
    return [{...noTable, isTable: false}];
  }
  if (persistence !== 'p')
    return [
      error(
        'TABLE_KIND',
        'It is unlogged or temporary: the log does not hold its rows.',
        `alter table ${sql} set logged; or ingest it by queries.`,
      ),
    ];
  if (facts.hasChildren)
    return [
      error(
        'INHERITANCE',
        'Other tables inherit from it; the log names them by themselves.',
        'Ingest it by queries, or make it a partitioned table.',
      ),
    ];
  if (facts.unnamed.length === 0) return [];
  const fixes = facts.unnamed.map((part) => `alter table ${part} replica identity full;`).join(' ');
  return [
    error(
      'REPLICA_IDENTITY',
      `The log could not name the rows of ${facts.unnamed.join(', ')}: published like this, its UPDATE and DELETE would fail.`,
      `Add a primary key, or: ${fixes}`,
    ),
  ];
}

function rightFindings(
  {sql, isOwner, isReadable, hasRowSecurity, isPublished}: TableFacts,
  names: LogNames,
): readonly Finding[] {
  const findings: Finding[] = [];
  if (!isReadable)
    findings.push(
      error(
        'PERMISSION',
        'The user may not read the whole table.',
        `grant select on ${sql} to the user, and usage on its schema.`,
      ),
    );
  if (hasRowSecurity)
    findings.push(
      error(
        'ROW_SECURITY',
        'Row-level security hides rows from the snapshot, but not from the log.',
        'alter role ... with bypassrls;',
      ),
    );
  if (names.isOwnPublication && !isOwner && !isPublished) {
    findings.push(
      error(
        'OWNER',
        'Only its owner can add the table to a publication.',
        `Grant the owner's role to the user, or let an owner run: create publication ... for table ${sql} with (publish_via_partition_root = true); and name that publication.`,
      ),
    );
  }
  return findings;
}

function publishedFindings(
  {sql, isPublished, hasRowFilter, hasColumnList}: TableFacts,
  {publication, isOwnPublication}: LogNames,
): readonly Finding[] {
  const name = quoteIdentifier(publication);
  if (!isPublished)
    return isOwnPublication
      ? []
      : [
          error(
            'NOT_PUBLISHED',
            `The publication "${publication}" does not have the table.`,
            `alter publication ${name} add table ${sql};`,
          ),
        ];
  const findings: Finding[] = [];
  if (hasRowFilter)
    findings.push(
      error(
        'ROW_FILTER',
        `The publication "${publication}" filters the rows of the table, which a snapshot does not.`,
        `alter publication ${name} drop table ${sql}; alter publication ${name} add table ${sql};`,
      ),
    );
  if (hasColumnList)
    findings.push(
      warning(
        'COLUMN_LIST',
        `The publication "${publication}" has a list of columns for the table: the others do not land.`,
      ),
    );
  return findings;
}

async function tableFacts(
  session: Session,
  {oid, table, publication}: {readonly oid: string; readonly table: string; readonly publication: string},
): Promise<TableFacts> {
  const member =
    session.facts.versionNumber >= 150_000 ? 'pr.prqual is not null, pr.prattrs is not null' : 'false, false';
  const [row] = await session.query(
    `select c.relkind::text, c.relpersistence::text, pg_has_role(c.relowner, 'USAGE')::text,
      (has_schema_privilege(c.relnamespace, 'USAGE') and (has_table_privilege(c.oid, 'SELECT') or not exists (
        select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and not has_column_privilege(c.oid, a.attnum, 'SELECT'))))::text,
      row_security_active(c.oid)::text, (c.relkind = 'r' and exists (select from pg_inherits i where i.inhparent = c.oid))::text,
      (select string_agg(part.oid::regclass::text, E'\\n') from ${partsSql('c.oid')} part where not ${hasIdentitySql('part.oid')}),
      exists (select from pg_publication_tables t join pg_namespace n on n.nspname = t.schemaname join pg_class m on m.relnamespace = n.oid and m.relname = t.tablename
        where t.pubname = ${quoteLiteral(publication)} and (m.oid = c.oid or m.oid in (select oid from ${partsSql('c.oid')} part)))::text
      from pg_class c where c.oid = ${oid}`,
    {what: `check table "${table}"`, table},
  );
  const [list] = await session.query(
    `select ${member} from pg_publication_rel pr join pg_publication p on p.oid = pr.prpubid where p.pubname = ${quoteLiteral(publication)} and pr.prrelid = ${oid}`,
    LOOKING,
  );
  const [kind, persistence, isOwner, isReadable, security, children, unnamed, isPublished] = row ?? [];
  return {
    sql: tableSql(splitName(table)),
    kind: kind ?? '',
    persistence: persistence ?? '',
    isOwner: isOwner === 'true',
    isReadable: isReadable === 'true',
    hasRowSecurity: security === 'true',
    hasChildren: children === 'true',
    unnamed: (unnamed ?? '').split('\n').filter((part) => part !== ''),
    isPublished: isPublished === 'true',
    hasRowFilter: list?.[0] === 't',
    hasColumnList: list?.[1] === 't',
  };
}

function error(code: string, message: string, fix?: string): Finding {
  return {level: 'error', code, message, ...(fix !== undefined && {fix})};
}

function warning(code: string, message: string, fix?: string): Finding {
  return {level: 'warning', code, message, ...(fix !== undefined && {fix})};
}

function info(code: string, message: string, fix?: string): Finding {
  return {level: 'info', code, message, ...(fix !== undefined && {fix})};
}
