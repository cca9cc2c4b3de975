import type {ModelView} from './simulator-database.ts';
import {ModelDatabase} from './simulator-database.ts';
import {readStatement} from './simulator-reads.ts';
import {goldenStatements, listStatement, normalize} from './simulator-statements.ts';
import type {WireParameter, WireResult, WireServer, WireSession} from './simulator-tds.ts';
import {serveTds, WireError} from './simulator-tds.ts';
import type {WireTls} from './simulator-tls.ts';

/** A scripted server with a database behind it, on 127.0.0.1. */
export interface SqlServerSimulator extends AsyncDisposable {
  readonly database: ModelDatabase;
  /** Options of a connection to it. */
  readonly options: Readonly<Record<string, string | number>>;
  /** Users that tried to log in, in order: their passwords have come. */
  readonly logins: string[];
  /** Names of the statements that were run, in order. */
  readonly statements: string[];
  /** Texts that the server did not understand. */
  readonly unknown: string[];
  /** Cuts all connections. */
  cut(): void;
}

const LOGIN = {user: 'sluice', password: 'Secret!1', database: 'shop'} as const;

/**
 * Starts a scripted server. It answers the statements of this connector by their exact texts, and no others: no real SQL Server is
 * behind it. By default it has no TLS.
 */
export async function startSimulator({tls}: {readonly tls?: WireTls} = {}): Promise<SqlServerSimulator> {
  const database = new ModelDatabase();
  const statements: string[] = [];
  const unknown: string[] = [];
  const logins: string[] = [];
  const server: WireServer = await serveTds({
    ...(tls !== undefined && {tls}),
    login(user, password, name) {
      logins.push(user);
      if (user !== LOGIN.user || password !== LOGIN.password)
        throw new WireError(18_456, `Login failed for user '${user}'.`);
      if (name !== LOGIN.database) throw new WireError(4060, `Cannot open database "${name}" requested by the login.`);
      return new SimulatedSession(database, statements, unknown);
    },
  });
  return {
    database,
    logins,
    statements,
    unknown,
    options: {host: '127.0.0.1', port: server.port, encrypt: 'disabled', poll_seconds: 0.02, ...LOGIN},
    cut: () => server.cut(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** One connection: its transaction, its snapshot, its locks. */
class SimulatedSession implements WireSession {
  readonly #database: ModelDatabase;
  readonly #statements: string[];
  readonly #unknown: string[];
  #isSnapshot = false;
  #isOpen = false;
  #view: ModelView | null = null;
  #unlock: (() => void) | null = null;

  constructor(database: ModelDatabase, statements: string[], unknown: string[]) {
    this.#database = database;
    this.#statements = statements;
    this.#unknown = unknown;
  }

  answer(text: string, parameters: ReadonlyMap<string, WireParameter>): Promise<WireResult> {
    const sql = normalize(text);
    const ended = this.#transaction(sql);
    if (ended !== null) return Promise.resolve(ended);
    const golden =
      listStatement(sql) ??
      goldenStatements(this.#database.view()).find((statement) => statement.sql === sql) ??
      readStatement(sql, this.#database.view()) ??
      undefined;
    if (golden === undefined) {
      this.#unknown.push(sql);
      return Promise.reject(new WireError(102, `The scripted server does not know this statement: ${sql}`));
    }
    this.#statements.push(golden.name);
    try {
      const scope = {database: this.#database, parameters, view: () => this.#look()};
      return Promise.resolve(golden.run(scope));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  close(): void {
    this.#end();
  }

  /** Statements that begin and end transactions; null for others. */
  #transaction(sql: string): WireResult | null {
    const lock = /^select top \(1\) 1 from \[dbo\]\.\[(\w+)\] with \(tablock, holdlock\)$/.exec(sql);
    if (lock !== null) {
      this.#unlock ??= this.#database.lock();
      return {columns: ['int'], rows: [[1]]};
    }
    if (/^select top \(1\) 1 from \[dbo\]\.\[(\w+)\]$/.test(sql)) {
      this.#look();
      return {columns: ['int'], rows: [[1]]};
    }
    if (sql.startsWith('set ansi_nulls on set ')) return {columns: [], rows: []};
    if (/^set lock_timeout (?:-1|10000)$/.test(sql)) return {columns: [], rows: []};
    switch (sql) {
      case 'set transaction isolation level snapshot; begin transaction':
        if (!this.#database.isSnapshotAllowed) {
          throw new WireError(3952, `Snapshot isolation transaction failed accessing database 'shop'.`);
        }
        this.#isSnapshot = true;
        this.#isOpen = true;
        return {columns: [], rows: [], transaction: 'began'};
      case 'set lock_timeout 5000; begin transaction':
        this.#isOpen = true;
        return {columns: [], rows: [], transaction: 'began'};
      case 'if @@trancount > 0 rollback transaction; set transaction isolation level read committed': {
        const wasOpen = this.#isOpen;
        this.#end();
        return {columns: [], rows: [], ...(wasOpen && {transaction: 'rolledBack' as const})};
      }
      default:
        return null;
    }
  }

  /** The first read of a snapshot is its moment. */
  #look(): ModelView {
    if (!this.#isSnapshot) return this.#database.view();
    this.#view ??= this.#database.view();
    return this.#view;
  }

  #end(): void {
    this.#isOpen = false;
    this.#isSnapshot = false;
    this.#view = null;
    this.#unlock?.();
    this.#unlock = null;
  }
}
