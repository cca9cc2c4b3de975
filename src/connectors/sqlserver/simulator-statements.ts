import type {ModelColumn, ModelDatabase, ModelRow, ModelTable, ModelValue, ModelView} from './simulator-database.ts';
import {keyText, netChanges} from './simulator-database.ts';
import type {WireParameter, WireResult, WireType, WireValue} from './simulator-tds.ts';
import {WireError} from './simulator-tds.ts';
import {compareTexts, goldenKeyText, goldenParameter, goldenValue, keyTextOf} from './simulator-values.ts';

/** What a statement runs in. */
export interface StatementScope {
  readonly database: ModelDatabase;
  /** What the session sees. */
  readonly view: () => ModelView;
  readonly parameters: ReadonlyMap<string, WireParameter>;
}

/** A statement that the server understands, by its exact text. */
export interface Golden {
  readonly name: string;
  readonly sql: string;
  readonly run: (scope: StatementScope) => WireResult;
}

/** A text with single blanks between its words. */
export function normalize(sql: string): string {
  return sql.replaceAll(/\s+/g, ' ').trim();
}

/** All statements about the tables of the model as they are now. */
export function goldenStatements(view: ModelView): readonly Golden[] {
  return [
    ...CATALOG,
    ...view.tables.flatMap((table) => [
      ...changeStatements(table),
      ...chunkStatements(table),
      ...boundStatements(table),
      ...captureStatements(table),
    ]),
  ];
}

function result(columns: readonly WireType[], rows: readonly (readonly WireValue[])[]): WireResult {
  return {columns, rows};
}

const CATALOG: readonly Golden[] = [
  {
    name: 'current version',
    sql: `select convert(varchar(20), change_tracking_current_version()), convert(varchar(27), sysutcdatetime(), 121)`,
    run: ({database, view}) =>
      result(['varchar', 'varchar'], [[database.version === null ? null : String(view().version), database.utc]]),
  },
  {
    name: 'identity',
    sql: `select convert(varchar(36), d.service_broker_guid), d.name from sys.databases as d where d.database_id = db_id()`,
    run: () => result(['varchar', 'nvarchar'], [['22222222-2222-2222-2222-222222222222', 'shop']]),
  },
  {
    name: 'recovery',
    sql: `select convert(varchar(36), r.family_guid), convert(varchar(36), r.recovery_fork_guid) from sys.database_recovery_status as r where r.database_id = db_id()`,
    run: ({database}) => {
      if (database.isAzure) throw new WireError(208, `Invalid object name 'sys.database_recovery_status'.`);
      return result(['varchar', 'varchar'], [['11111111-1111-1111-1111-111111111111', database.recoveryFork]]);
    },
  },
  {
    name: 'object',
    sql: `select o.object_id, schema_name(o.schema_id), o.name, o.type, (select convert(varchar(20), sum(p.rows)) from sys.partitions as p where p.object_id = o.object_id and p.index_id in (0, 1)) from sys.objects as o where o.object_id = object_id(@table) and o.type in ('U', 'V')`,
    run: ({view, parameters}) => {
      const found = view().tables.filter((table) => `[${table.schema}].[${table.name}]` === parameters.get('table'));
      return result(
        ['int', 'nvarchar', 'nvarchar', 'nvarchar', 'varchar'],
        found.map(({id, schema, name, rows}) => [id, schema, name, 'U ', String(rows.size)]),
      );
    },
  },
  {
    name: 'settings',
    sql: `select convert(int, serverproperty('ProductMajorVersion')), convert(int, serverproperty('EngineEdition')), convert(int, d.snapshot_isolation_state), convert(int, d.is_cdc_enabled), case when t.database_id is null then 0 else 1 end, convert(int, t.is_auto_cleanup_on), case t.retention_period_units when 1 then t.retention_period when 2 then t.retention_period * 60 else t.retention_period * 1440 end, d.name from sys.databases as d left join sys.change_tracking_databases as t on t.database_id = d.database_id where d.database_id = db_id()`,
    run: ({database}) =>
      result(
        ['int', 'int', 'int', 'int', 'int', 'int', 'int', 'nvarchar'],
        [
          [
            16,
            3,
            database.isSnapshotAllowed ? 1 : 0,
            database.isCdcEnabled ? 1 : 0,
            database.version === null ? 0 : 1,
            1,
            database.retentionMinutes,
            'shop',
          ],
        ],
      ),
  },
  {
    name: 'retention of captured changes',
    sql: `select convert(int, j.retention) from msdb.dbo.cdc_jobs as j where j.database_id = db_id() and j.job_type = N'cleanup'`,
    run: ({database}) => {
      if (database.isAzure) throw new WireError(40_515, `Reference to database 'msdb' is not supported.`);
      return result(['int'], [[database.retentionMinutes]]);
    },
  },
  {
    name: 'permission to read',
    sql: `select has_perms_by_name(@table, N'OBJECT', N'SELECT')`,
    run: ({database}) => result(['int'], [[database.missingPermissions.has('SELECT') ? 0 : 1]]),
  },
  {
    name: 'change tracking of a table',
    sql: `select case when exists (select 1 from sys.change_tracking_tables as t where t.object_id = object_id(@table)) then 1 else 0 end, has_perms_by_name(@table, N'OBJECT', N'VIEW CHANGE TRACKING')`,
    run: ({database, view, parameters}) => {
      const found = view().tables.find((table) => `[${table.schema}].[${table.name}]` === parameters.get('table'));
      const isAllowed = !database.missingPermissions.has('VIEW CHANGE TRACKING');
      return result(['int', 'int'], [[(found?.tracking ?? null) === null ? 0 : 1, isAllowed ? 1 : 0]]);
    },
  },
  {
    name: 'clocks',
    sql: `select convert(varchar(27), sysutcdatetime(), 121), convert(varchar(27), sysdatetime(), 121)`,
    run: ({database}) => result(['varchar', 'varchar'], [[database.utc, database.local]]),
  },
  {
    name: 'oldest transaction',
    sql: `select coalesce(datediff(second, min(a.transaction_begin_time), getdate()), 0) + 1 from sys.dm_tran_active_transactions as a join sys.dm_tran_database_transactions as d on d.transaction_id = a.transaction_id join sys.dm_tran_session_transactions as s on s.transaction_id = a.transaction_id where d.database_id = db_id() and d.database_transaction_begin_lsn is not null and s.session_id <> @@spid`,
    run: ({database}) => {
      if (database.missingPermissions.has('VIEW SERVER STATE'))
        throw new WireError(300, `VIEW SERVER STATE permission was denied on object 'server', database 'master'.`);
      return result(['int'], [[database.oldestSeconds]]);
    },
  },
  {
    name: 'newest LSN',
    sql: `select sys.fn_cdc_get_max_lsn()`,
    run: ({view}) => {
      const lsn = view().maxLsn;
      return result(['varbinary'], [[lsn === null ? null : lsnBuffer(lsn)]]);
    },
  },
  {
    name: 'change data capture',
    sql: `select convert(int, d.is_cdc_enabled) from sys.databases as d where d.database_id = db_id()`,
    run: ({database}) => result(['int'], [[database.isCdcEnabled ? 1 : 0]]),
  },
  {
    name: 'end of the log',
    sql: `select log_end_lsn from sys.dm_db_log_stats(db_id())`,
    run: ({database}) => {
      if (database.missingPermissions.has('VIEW DATABASE STATE'))
        throw new WireError(262, `VIEW DATABASE STATE permission was denied in database 'shop'.`);
      const text = lsnBuffer(database.logEnd).toString('hex');
      return result(['nvarchar'], [[`${text.slice(0, 8)}:${text.slice(8, 16)}:${text.slice(16)}`]]);
    },
  },
  {
    name: 'snapshot isolation',
    sql: `select convert(int, snapshot_isolation_state) from sys.databases where database_id = db_id()`,
    run: ({database}) => result(['int'], [[database.isSnapshotAllowed ? 1 : 0]]),
  },
  {
    name: 'schemas',
    sql: `select distinct schema_name(o.schema_id) from sys.objects as o where o.type in ('U', 'V') and o.is_ms_shipped = 0 order by 1`,
    run: () => result(['nvarchar'], [['dbo']]),
  },
  {
    name: 'tables',
    sql: `select schema_name(o.schema_id), o.name from sys.objects as o where o.type in ('U', 'V') and o.is_ms_shipped = 0 order by 1, 2`,
    run: ({view}) =>
      result(
        ['nvarchar', 'nvarchar'],
        view()
          .tables.map(({schema, name}) => [schema, name])
          .toSorted((a, b) => (a.join() < b.join() ? -1 : 1)),
      ),
  },
  {
    name: 'unique keys',
    sql: `select i.index_id, c.name, c.is_nullable from sys.indexes as i join sys.index_columns as k on k.object_id = i.object_id and k.index_id = i.index_id and k.key_ordinal > 0 join sys.columns as c on c.object_id = k.object_id and c.column_id = k.column_id where i.object_id = convert(int, @id) and i.is_unique = 1 and i.has_filter = 0 and i.is_disabled = 0 order by i.index_id, k.key_ordinal`,
    run: () => result(['int', 'nvarchar', 'bit'], []),
  },
];

const COLUMNS = `select c.object_id, c.column_id, c.name, coalesce(b.name, t.name), c.max_length, c.precision, c.scale, c.collation_name, c.is_nullable, c.is_computed, convert(bit, case when c.default_object_id = 0 then 0 else 1 end), coalesce(k.key_ordinal, 0) from sys.columns as c join sys.types as t on t.user_type_id = c.user_type_id left join sys.types as b on b.user_type_id = c.system_type_id left join sys.indexes as i on i.object_id = c.object_id and i.is_primary_key = 1 left join sys.index_columns as k on k.object_id = c.object_id and k.index_id = i.index_id and k.column_id = c.column_id where c.object_id in (`;
const STATES = `select o.object_id, schema_name(o.schema_id), o.name, convert(varchar(20), change_tracking_min_valid_version(o.object_id)) from sys.objects as o where o.object_id in (`;

/** A statement with a list of object numbers in it; null for any other. */
export function listStatement(sql: string): Golden | null {
  if (sql.startsWith(COLUMNS)) {
    const ids = listOf(sql.slice(COLUMNS.length), ') order by c.object_id, c.column_id');
    return ids === null ? null : {name: 'columns', sql, run: ({view}) => columnsResult(view(), ids)};
  }
  const capture = captureList(sql);
  if (capture !== null) return capture;
  if (!sql.startsWith(STATES)) return null;
  const ids = listOf(sql.slice(STATES.length), ') order by o.object_id');
  if (ids === null) return null;
  return {
    name: 'states',
    sql,
    run: ({database, view}) => {
      const isHidden = database.version === null || database.missingPermissions.has('VIEW CHANGE TRACKING');
      return result(
        ['int', 'nvarchar', 'nvarchar', 'varchar'],
        view()
          .tables.filter(({id}) => ids.has(id))
          .map(({id, schema, name, tracking}) => [
            id,
            schema,
            name,
            tracking === null || isHidden ? null : String(tracking.minValid),
          ]),
      );
    },
  };
}

function listOf(text: string, end: string): ReadonlySet<number> | null {
  if (!text.endsWith(end)) return null;
  const list = text.slice(0, -end.length);
  return /^\d+(?:, \d+)*$/.test(list) ? new Set(list.split(', ').map(Number)) : null;
}

const INSTANCES = `select t.source_object_id, t.object_id, object_name(t.object_id), t.capture_instance, t.start_lsn, sys.fn_cdc_get_min_lsn(t.capture_instance) from cdc.change_tables as t where t.source_object_id in (`;
const CAPTURED = `select k.object_id, k.column_id, k.column_ordinal from cdc.captured_columns as k where k.object_id in (`;

function captureList(sql: string): Golden | null {
  if (sql.startsWith(INSTANCES)) {
    const ids = listOf(sql.slice(INSTANCES.length), ') order by t.source_object_id, t.start_lsn, t.object_id');
    if (ids === null) return null;
    return {
      name: 'capture instances',
      sql,
      run: ({database, view}) => {
        if (!database.isCdcEnabled) throw new WireError(208, `Invalid object name 'cdc.change_tables'.`);
        if (database.missingPermissions.has('SELECT ON SCHEMA::cdc'))
          throw new WireError(229, `The SELECT permission was denied on the object 'change_tables', schema 'cdc'.`);
        const rows = view()
          .tables.filter(({id}) => ids.has(id))
          .flatMap((table) =>
            table.instances.map(({id, name, startLsn, minLsn}) => [
              table.id,
              id,
              `${name}_CT`,
              name,
              lsnBuffer(startLsn),
              lsnBuffer(minLsn),
            ]),
          );
        return result(['int', 'int', 'nvarchar', 'nvarchar', 'varbinary', 'varbinary'], rows);
      },
    };
  }
  if (!sql.startsWith(CAPTURED)) return null;
  const ids = listOf(sql.slice(CAPTURED.length), ') order by k.object_id, k.column_ordinal');
  if (ids === null) return null;
  return {
    name: 'captured columns',
    sql,
    run: ({view}) =>
      result(
        ['int', 'int', 'int'],
        view()
          .tables.flatMap(({instances}) => instances)
          .filter(({id}) => ids.has(id))
          .flatMap(({id, columns}) => columns.map((column, place) => [id, column.id, place + 1])),
      ),
  };
}

/** An LSN as its ten bytes. */
export function lsnBuffer(lsn: bigint): Buffer {
  return Buffer.from(lsn.toString(16).padStart(20, '0'), 'hex');
}

function lsnOf(value: WireParameter | undefined): bigint {
  if (!Buffer.isBuffer(value)) throw new WireError(8178, 'A parameter is missing.');
  return BigInt(`0x${value.toString('hex')}`);
}

function captureStatements(table: ModelTable): readonly Golden[] {
  return table.instances.flatMap((instance): readonly Golden[] => {
    const columns = instance.columns.filter(
      ({id, isComputed}) => !isComputed && table.columns.some((column) => column.id === id),
    );
    const values = columns.map((column) => goldenValue(column, `c.[${column.name}]`));
    const changes = [true, false].map((isLimited): Golden => ({
      name: `captured changes of ${table.name}`,
      sql: `select${isLimited ? ' top (@rows)' : ''} c.__$start_lsn, c.__$operation, c.__$update_mask, convert(varchar(27), dateadd(minute, datediff(minute, sysdatetime(), sysutcdatetime()), convert(datetime2(7), m.tran_end_time)), 121), ${values.map(({sql}) => sql).join(', ')} from cdc.[${instance.name}_CT] as c left join cdc.lsn_time_mapping as m on m.start_lsn = c.__$start_lsn where c.__$start_lsn > @from and c.__$start_lsn <= @to order by c.__$start_lsn, c.__$command_id, c.__$seqval, c.__$operation`,
      run: ({database, parameters}) => {
        const [from, to] = [lsnOf(parameters.get('from')), lsnOf(parameters.get('to'))];
        const found = instance.rows.filter(({lsn}) => lsn > from && lsn <= to);
        const limit = isLimited ? Number(bigintOf(parameters.get('rows'))) : found.length;
        return result(
          ['varbinary', 'int', 'varbinary', 'varchar', ...values.map(({type}) => type)],
          found
            .slice(0, limit)
            .map(({lsn, operation, row, changed}) => [
              lsnBuffer(lsn),
              operation,
              maskOf(instance.columns, operation > 2 ? changed : null),
              database.committedAt(lsn),
              ...columns.map(({name}) => row[name] ?? null),
            ]),
        );
      },
    }));
    const gap: Golden = {
      name: `changes before a switch of ${table.name}`,
      sql: `select top (1) 1 from cdc.[${instance.name}_CT] as c where c.__$start_lsn <= @start and c.__$start_lsn > (select min(h.ddl_lsn) from cdc.ddl_history as h where h.source_object_id = @table and h.ddl_lsn > @oldStart)`,
      run: ({database, parameters}) => {
        const oldStart = lsnOf(parameters.get('oldStart'));
        const [ddl] = database.ddlHistory.filter((entry) => entry.table === table.id && entry.lsn > oldStart);
        const found = instance.rows.some(
          ({lsn}) => ddl !== undefined && lsn > ddl.lsn && lsn <= lsnOf(parameters.get('start')),
        );
        return result(['int'], found ? [[1]] : []);
      },
    };
    return [...changes, gap];
  });
}

/** Bits of the columns that changed, the first ones in the last byte; all for null. */
function maskOf(columns: readonly ModelColumn[], changed: ReadonlySet<string> | null): Buffer {
  const mask = Buffer.alloc((columns.length + 7) >> 3);
  for (const [place, {name}] of columns.entries()) {
    const at = mask.length - 1 - (place >> 3);
    if (changed === null || changed.has(name)) mask[at] = (mask[at] ?? 0) | (1 << (place & 7));
  }
  return mask;
}

function columnsResult({tables}: ModelView, ids: ReadonlySet<number>): WireResult {
  const rows = tables
    .filter(({id}) => ids.has(id))
    .toSorted((left, right) => left.id - right.id)
    .flatMap((table) => table.columns.map((column) => columnRow(table.id, column, table.key.indexOf(column.name) + 1)));
  return result(
    [
      'int',
      'int',
      'nvarchar',
      'nvarchar',
      'smallint',
      'tinyint',
      'tinyint',
      'nvarchar',
      'bit',
      'bit',
      'bit',
      'tinyint',
    ],
    rows,
  );
}

function columnRow(object: number, column: ModelColumn, keyPlace: number): readonly WireValue[] {
  const {id, name, type, length, precision, scale, collation, nullable, isComputed, hasDefault} = column;
  const isNullable = nullable && keyPlace === 0;
  return [object, id, name, type, length, precision, scale, collation, isNullable, isComputed, hasDefault, keyPlace];
}

function changeStatements(table: ModelTable): readonly Golden[] {
  const [first] = table.key;
  if (first === undefined) return [];
  const values = table.columns.map((column) =>
    goldenValue(column, `${table.key.includes(column.name) ? 'ct' : 'source'}.[${column.name}]`),
  );
  const joined = table.key.map((name) => `source.[${name}] = ct.[${name}]`).join(' and ');
  return [true, false].map((isLimited) => ({
    name: `changes of ${table.name}`,
    sql: `select${isLimited ? ' top (@rows)' : ''} convert(varchar(20), ct.SYS_CHANGE_VERSION), ct.SYS_CHANGE_OPERATION, case when source.[${first}] is null then 0 else 1 end, ${values.map(({sql}) => sql).join(', ')} from changetable(changes [dbo].[${table.name}], @from) as ct left join [dbo].[${table.name}] as source on ${joined} where ct.SYS_CHANGE_VERSION <= @to order by ct.SYS_CHANGE_VERSION, case ct.SYS_CHANGE_OPERATION when 'D' then 0 else 1 end`,
    run: ({view, parameters}) => {
      const now = tableOf(view(), table.id);
      const to = bigintOf(parameters.get('to'));
      const changes = netChanges(now, bigintOf(parameters.get('from')))
        .filter(({version}) => version <= to)
        .toSorted(
          (left, right) =>
            Number(left.version - right.version) || Number(right.operation === 'D') - Number(left.operation === 'D'),
        );
      const limit = isLimited ? Number(bigintOf(parameters.get('rows'))) : changes.length;
      return result(
        ['varchar', 'nchar', 'int', ...values.map(({type}) => type)],
        changes.slice(0, limit).map(({version, operation, key}) => {
          const row = now.rows.get(keyText(now, key));
          const cells = table.columns.map(({name}) => (table.key.includes(name) ? key[name] : row?.[name]) ?? null);
          return [String(version), operation, row === undefined ? 0 : 1, ...cells];
        }),
      );
    },
  }));
}

interface Side {
  readonly name: 'after' | 'upTo';
  readonly operator: '>' | '<=';
}

const SIDES: readonly (readonly Side[])[] = [
  [],
  [{name: 'after', operator: '>'}],
  [{name: 'upTo', operator: '<='}],
  [
    {name: 'after', operator: '>'},
    {name: 'upTo', operator: '<='},
  ],
];

/** Conditions of a range of keys, as texts and as functions of rows. */
function ranges(table: ModelTable): readonly {
  readonly sql: string;
  readonly rows: (now: ModelTable, parameters: StatementScope['parameters']) => readonly ModelRow[];
}[] {
  const key = keyColumns(table);
  return SIDES.filter((sides) => sides.length === 0 || key.length > 0).map((sides) => ({
    sql:
      sides.length === 0
        ? ''
        : ` where ${sides.map(({name, operator}) => `(${goldenBeyond(key, {name, operator}, 0)})`).join(' and ')}`,
    rows: (now, parameters) =>
      [...now.rows.values()].filter((row) =>
        sides.every(({name, operator}) => {
          const order = compareRow(key, row, (index) => String(parameters.get(`${name}${index}`)));
          return operator === '>' ? order > 0 : order <= 0;
        }),
      ),
  }));
}

function goldenBeyond(key: readonly ModelColumn[], side: Side, place: number): string {
  const column = key[place];
  if (column === undefined) return '1 = 1';
  const name = `source.[${column.name}]`;
  const value = goldenParameter(column, `@${side.name}${place}`);
  if (place === key.length - 1) return `${name} ${side.operator} ${value}`;
  const strict = side.operator === '>' ? '>' : '<';
  return `${name} ${strict}= ${value} and (${name} ${strict} ${value} or (${name} = ${value} and ${goldenBeyond(key, side, place + 1)}))`;
}

function chunkStatements(table: ModelTable): readonly Golden[] {
  const captured = table.instances.map(({columns}) => columns);
  return [table.columns, ...captured].flatMap((columns) => {
    const values = columns.map((column) => goldenValue(column, `source.[${column.name}]`));
    return ranges(table).map((range) => ({
      name: `chunk of ${table.name}`,
      sql: `select ${values.map(({sql}) => sql).join(', ')} from [dbo].[${table.name}] as source${range.sql}`,
      run: ({view, parameters}: StatementScope) =>
        result(
          values.map(({type}) => type),
          range.rows(tableOf(view(), table.id), parameters).map((row) => columns.map(({name}) => row[name] ?? null)),
        ),
    }));
  });
}

function boundStatements(table: ModelTable): readonly Golden[] {
  const key = keyColumns(table);
  const [first] = key;
  if (first === undefined) return [];
  const order = key.map(({name}) => `source.[${name}]`).join(', ');
  const list = key.map((column) => goldenKeyText(column, `source.[${column.name}]`)).join(', ');
  const walks = ranges(table).map((range) => ({
    name: `bounds of ${table.name}`,
    sql: `select ${list} from [dbo].[${table.name}] as source${range.sql} order by ${order} offset @skip rows fetch next 1 rows only`,
    run: ({view, parameters}: StatementScope) => {
      const rows = range.rows(tableOf(view(), table.id), parameters).toSorted(byKey(key));
      const skip = Number(bigintOf(parameters.get('skip')));
      return result(
        key.map(() => 'nvarchar'),
        rows.slice(skip, skip + 1).map((row) => key.map(({name}) => keyTextOf(row[name] ?? null))),
      );
    },
  }));
  const ends: Golden = {
    name: `ends of ${table.name}`,
    sql: `select convert(varchar(20), min(source.[${first.name}])), convert(varchar(20), max(source.[${first.name}])) from [dbo].[${table.name}] as source`,
    run: ({view}) => {
      const texts = [...tableOf(view(), table.id).rows.values()]
        .toSorted(byKey([first]))
        .map((row) => keyTextOf(row[first.name] ?? null));
      return result(['varchar', 'varchar'], [[texts[0] ?? null, texts.at(-1) ?? null]]);
    },
  };
  return [...walks, ends];
}

/** The columns of the key, in its order. */
export function keyColumns(table: ModelTable): readonly ModelColumn[] {
  return table.key.flatMap((name) => table.columns.filter((column) => column.name === name));
}

function byKey(key: readonly ModelColumn[]): (left: ModelRow, right: ModelRow) => number {
  return (left, right) => compareRow(key, left, (index) => keyTextOf(right[key[index]?.name ?? ''] ?? null));
}

function compareRow(key: readonly ModelColumn[], row: ModelRow, textAt: (index: number) => string): number {
  for (const [index, column] of key.entries()) {
    const value: ModelValue = row[column.name] ?? null;
    const order = compareTexts(column, keyTextOf(value), textAt(index));
    if (order !== 0) return order;
  }
  return 0;
}

/** A table of a view. @throws WireError when it is not there */
export function tableOf(view: ModelView, id: number): ModelTable {
  const found = view.tables.find((table) => table.id === id);
  if (found === undefined) throw new WireError(208, 'Invalid object name.');
  return found;
}

/** A parameter that is a whole number. */
export function bigintOf(value: WireParameter | undefined): bigint {
  if (typeof value !== 'bigint' && typeof value !== 'number' && typeof value !== 'string')
    throw new WireError(8178, 'A parameter is missing.');
  return BigInt(value);
}
