import type {ConnectionOptions} from '../../src/connectors/sqlserver/session.ts';
import {connectionOptions, Session} from '../../src/connectors/sqlserver/session.ts';
import {isIngestError} from '../../src/core/errors.ts';
import type {RandomWrite, TypeProof, VerifiedServer, WrittenRow} from './verified-server.ts';
import {TABLES} from './verified-server.ts';

const DOING = {what: 'set up the proof'};

/** A column of the table of types: its declaration, two values as SQL, and what lands of them. */
interface RealType {
  readonly declared: string;
  readonly values: readonly [string, string];
  /** `{}` stands for the column. */
  readonly lake?: string;
  readonly lands: readonly [string | null, string | null];
}

const HEX = 'lower(hex({}))';
const MICROS = 'epoch_us({})';

const TYPES: readonly RealType[] = [
  {declared: 'bit', values: ['1', '0'], lands: ['true', 'false']},
  {declared: 'tinyint', values: ['0', '255'], lands: ['0', '255']},
  {declared: 'smallint', values: ['-32768', '32767'], lands: ['-32768', '32767']},
  {declared: 'int', values: ['-2147483648', '2147483647'], lands: ['-2147483648', '2147483647']},
  {
    declared: 'bigint',
    values: ['-9223372036854775808', '9223372036854775807'],
    lands: ['-9223372036854775808', '9223372036854775807'],
  },
  {
    declared: 'decimal(38, 0)',
    values: ['-99999999999999999999999999999999999999', '12345678901234567890'],
    lands: ['-99999999999999999999999999999999999999', '12345678901234567890'],
  },
  {declared: 'decimal(20, 4)', values: ['1234567890123456.7891', '-0.5'], lands: ['1234567890123456.7891', '-0.5000']},
  {declared: 'numeric(4, 2)', values: ['-99.99', '0.01'], lands: ['-99.99', '0.01']},
  {
    declared: 'money',
    values: ['-922337203685477.5808', '0.0001'],
    lands: ['-922337203685477.5808', '0.0001'],
  },
  {declared: 'smallmoney', values: ['214748.3647', '-1'], lands: ['214748.3647', '-1.0000']},
  {declared: 'float', values: ['0.1e0', '1.7976931348623157e308'], lands: ['0.1', '1.7976931348623157e+308']},
  {declared: 'real', values: ['1.1e0', '16777216e0'], lands: ['1.1', '16777216.0']},
  {declared: 'date', values: [`'0001-01-01'`, `'9999-12-31'`], lands: ['0001-01-01', '9999-12-31']},
  {declared: 'time(7)', values: [`'23:59:59.9999999'`, `'00:00:00'`], lands: ['23:59:59.9999999', '00:00:00.0000000']},
  {
    declared: 'datetime',
    values: [`'1970-01-01T00:00:00.003'`, `'9999-12-31T23:59:59.997'`],
    lake: MICROS,
    lands: ['3000', '253402300799997000'],
  },
  {declared: 'smalldatetime', values: [`'1970-01-02T00:00:00'`, 'null'], lake: MICROS, lands: ['86400000000', null]},
  {
    declared: 'datetime2(7)',
    values: [`'1970-01-01T00:00:00.1234567'`, `'0001-01-01T00:00:00'`],
    lake: MICROS,
    lands: ['123456', '-62135596800000000'],
  },
  {
    declared: 'datetimeoffset(7)',
    values: [`'1970-01-01T14:00:00.5000000+14:00'`, `'1970-01-01T00:00:00-05:30'`],
    lake: MICROS,
    lands: ['500000', '19800000000'],
  },
  {declared: 'char(4)', values: [`'ab'`, 'null'], lands: ['ab  ', null]},
  {declared: 'varchar(20) collate Latin1_General_CI_AS', values: [`N'é€'`, `''`], lands: ['é€', '']},
  {
    declared: 'varchar(max)',
    values: [`replicate(convert(varchar(max), 'x'), 20000)`, 'null'],
    lake: 'cast(length({}) as varchar)',
    lands: ['20000', null],
  },
  {declared: 'nchar(4)', values: [`N'ä'`, 'null'], lands: ['ä   ', null]},
  {declared: 'nvarchar(20)', values: [`N'漢😀'`, `N''`], lands: ['漢😀', '']},
  {declared: 'nvarchar(max)', values: [`N'long'`, 'null'], lands: ['long', null]},
  {declared: 'text', values: [`'old'`, 'null'], lands: ['old', null]},
  {declared: 'ntext', values: [`N'älter'`, 'null'], lands: ['älter', null]},
  {declared: 'xml', values: [`'<a b="1"/>'`, 'null'], lands: ['<a b="1"/>', null]},
  {
    declared: 'uniqueidentifier',
    values: [`'6F9619FF-8B86-D011-B42D-00C04FC964FF'`, 'null'],
    lands: ['6F9619FF-8B86-D011-B42D-00C04FC964FF', null],
  },
  {
    declared: 'sql_variant',
    values: ['convert(float, 0.1e0)', `convert(datetime2(7), '2026-11-28T10:00:00.1234567')`],
    lands: ['0.10000000000000001', '2026-11-28 10:00:00.1234567'],
  },
  {declared: 'hierarchyid', values: [`'/1/2.5/'`, 'null'], lands: ['/1/2.5/', null]},
  {declared: 'binary(4)', values: ['0x0001ff80', 'null'], lake: HEX, lands: ['0001ff80', null]},
  {declared: 'varbinary(10)', values: ['0x0001', '0x'], lake: HEX, lands: ['0001', '']},
  {declared: 'varbinary(max)', values: ['0xff', 'null'], lake: HEX, lands: ['ff', null]},
  {declared: 'image', values: ['0x0a', 'null'], lake: HEX, lands: ['0a', null]},
  {
    declared: 'geometry',
    values: [`geometry::Parse('POINT (1 2)')`, 'null'],
    lake: 'cast(octet_length({}) as varchar)',
    lands: ['22', null],
  },
];

/** A real SQL Server. Only tables whose names begin with `sluice_verify_` are made, and removed again. */
export class RealServer implements VerifiedServer {
  readonly options: Readonly<Record<string, string | number | boolean>>;
  noCapture: string | null = null;
  readonly #session: Session;
  /** Whether this script switched the database's own settings on. */
  #database = '';

  private constructor(options: Readonly<Record<string, string | number | boolean>>, session: Session) {
    this.options = options;
    this.#session = session;
  }

  /** @param url `mssql://user:password@host:port/database?trust_server_certificate=true` */
  static async open(url: string, signal: AbortSignal): Promise<RealServer> {
    const options = optionsOf(url);
    const checked: ConnectionOptions = connectionOptions(options, 'verify');
    return new RealServer(options, await Session.open(checked, signal));
  }

  async prepare(): Promise<readonly TypeProof[]> {
    const [row] = await this.#session.query('select db_name(), @@version', DOING);
    this.#database = String(row?.[0] ?? '');
    await this.cleanUp();
    const name = `[${this.#database.replaceAll(']', ']]')}]`;
    await this.#run(`if exists (select 1 from sys.databases where database_id = db_id() and snapshot_isolation_state <> 1)
 alter database ${name} set allow_snapshot_isolation on`);
    await this.#run(`if not exists (select 1 from sys.change_tracking_databases where database_id = db_id())
 alter database ${name} set change_tracking = on (change_retention = 7 days, auto_cleanup = on)`);
    const columns = TYPES.map(({declared}, index) => `c${index} ${declared} null`).join(', ');
    await this.#run(`create table dbo.${TABLES.types} (id int not null primary key, ${columns}, rv rowversion)`);
    const list = TYPES.map((_, index) => `c${index}`).join(', ');
    for (const place of [0, 1] as const) {
      const values = TYPES.map(({values: both}) => both[place]).join(', ');
      await this.#run(`insert into dbo.${TABLES.types} (id, ${list}) values (${place}, ${values})`);
    }
    const written = 'a int not null, b varchar(20) not null, v decimal(20, 2) null';
    for (const table of [TABLES.keyed, TABLES.captured])
      await this.#run(`create table dbo.${table} (${written}, primary key (b, a))`);
    await this.#run(`create table dbo.${TABLES.bare} (${written})`);
    for (const table of [TABLES.types, TABLES.keyed]) await this.setTracking(table, true);
    await this.#prepareCapture();
    return TYPES.map(({declared, lake = 'cast({} as varchar)', lands}, index) => ({
      column: declared,
      lake: lake.replace('{}', `c${index}`),
      lands,
    }));
  }

  async write(table: string, writes: readonly RandomWrite[]): Promise<boolean> {
    const statements = writes.map((write) => sqlOf(table, write)).join('; ');
    try {
      await this.#run(`set xact_abort on; begin transaction; ${statements}; commit transaction`);
      return true;
    } catch (error) {
      // A key that is there already.
      if (!isIngestError(error, 'SOURCE_ERROR')) throw error;
      await this.#run('if @@trancount > 0 rollback transaction');
      return false;
    }
  }

  async setTracking(table: string, isOn: boolean): Promise<void> {
    await this.#run(`alter table dbo.${table} ${isOn ? 'enable' : 'disable'} change_tracking`);
  }

  async rows(table: string): Promise<readonly WrittenRow[]> {
    const rows = await this.#session.query(`select a, b, convert(varchar(41), v) from dbo.${table}`, DOING);
    return rows.map(([a, b, v]) => ({a: Number(a), b: String(b), v: typeof v === 'string' ? v : null}));
  }

  async cleanUp(): Promise<void> {
    for (const table of Object.values(TABLES)) {
      await this.#run(`if exists (select 1 from sys.databases where database_id = db_id() and is_cdc_enabled = 1)
 and exists (select 1 from sys.tables where name = '${table}' and schema_id = schema_id('dbo') and is_tracked_by_cdc = 1)
 exec sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'${table}', @capture_instance = N'all'`);
      await this.#run(`if object_id('dbo.${table}') is not null drop table dbo.${table}`);
    }
  }

  async close(): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  async #prepareCapture(): Promise<void> {
    try {
      await this.#run(
        `if exists (select 1 from sys.databases where database_id = db_id() and is_cdc_enabled = 0) exec sys.sp_cdc_enable_db`,
      );
      for (const table of Object.values(TABLES)) {
        await this.#run(
          `exec sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'${table}', @role_name = NULL`,
        );
      }
    } catch (error) {
      if (!isIngestError(error)) throw error;
      this.noCapture = `which could not be switched on (${error.message})`;
    }
  }

  async #run(sql: string): Promise<void> {
    await this.#session.query(sql, DOING);
  }
}

/** Options of a connection from an address. */
export function optionsOf(url: string): Readonly<Record<string, string | number | boolean>> {
  const parsed = new URL(url);
  const more = [...parsed.searchParams].map(([name, value]) => [
    name,
    value === 'true' ? true : value === 'false' ? false : value,
  ]);
  return {
    host: decodeURIComponent(parsed.hostname),
    port: parsed.port === '' ? 1433 : Number(parsed.port),
    database: decodeURIComponent(parsed.pathname.slice(1)),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    poll_seconds: 1,
    ...(Object.fromEntries(more) as Record<string, string | boolean>),
  };
}

/** One statement; values are numbers and names of our own. */
function sqlOf(table: string, write: RandomWrite): string {
  const literal = ({a, b, v}: WrittenRow): readonly string[] => [String(a), `'${b}'`, v ?? 'null'];
  const row = 'insert' in write ? write.insert : 'update' in write ? write.old : write.delete;
  // Without a key several rows may be alike: one of them is meant.
  const [a, b, v] = literal(row);
  const where = `a = ${a} and b = ${b} and ${row.v === null ? 'v is null' : `v = ${v}`}`;
  if ('insert' in write) return `insert into dbo.${table} (a, b, v) values (${literal(row).join(', ')})`;
  if ('delete' in write) return `delete top (1) from dbo.${table} where ${where}`;
  const [newA, newB, newV] = literal(write.update);
  return `update top (1) dbo.${table} set a = ${newA}, b = ${newB}, v = ${newV} where ${where}`;
}
