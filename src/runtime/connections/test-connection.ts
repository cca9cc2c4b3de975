import {systemClock} from '../../core/clock.ts';
import type {ErrorCode} from '../../core/error-codes.ts';
import {isIngestError, messageOf} from '../../core/errors.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';
import type {Page} from '../../sdk/contract.ts';
import {createRedactor} from '../../sdk/http/redaction.ts';
import {resolveOptions} from '../../sdk/options.ts';
import {firstPages} from '../first-pages.ts';
import {connectorDefinition} from '../open-connector.ts';
import {readContextOf, silentLog} from '../read-context.ts';
import {openConnection, type ConnectionSession, type LookOptions} from './connection-session.ts';
import {isSecretOption} from './create-connection.ts';

/** One thing that was tried of a connection. */
export interface ConnectionCheck {
  /** `options`: they are complete; `tables`: the source lists its tables; `read`: it gives a page of one. */
  readonly step: 'options' | 'tables' | 'read';
  /** Null: it could not be tried. */
  readonly passed: boolean | null;
  readonly elapsedMs: number;
  /** A sentence for people. */
  readonly detail: string;
}

/** What works of a connection. */
export interface ConnectionReport {
  readonly connection: string;
  readonly connector: string;
  readonly passed: boolean;
  readonly checks: readonly ConnectionCheck[];
  /** Null when they could not be listed. */
  readonly tables: readonly string[] | null;
  readonly error: {readonly code: ErrorCode | 'INTERNAL'; readonly message: string; readonly fix?: string} | null;
}

const TRIED_TABLES = 3;

/**
 * Tries a connection: its options, the list of its tables, and a page of one of them, because some connectors know their
 * tables without asking the source. Never throws for what is wrong with the connection; messages hold none of its secrets.
 */
export async function testConnection(connection: ConnectionSpec, options: LookOptions): Promise<ConnectionReport> {
  const checks: ConnectionCheck[] = [];
  const base = {connection: connection.name, connector: connection.connector};
  let tables: readonly string[] | null = null;
  let startedAt = systemClock.nowMs();
  const passed = (step: ConnectionCheck['step'], detail: string, value: boolean | null = true): void => {
    checks.push({step, passed: value, elapsedMs: systemClock.nowMs() - startedAt, detail});
    startedAt = systemClock.nowMs();
  };
  try {
    await using session = await openConnection(connection, options);
    passed('options', `The options of ${session.open.definition.spec.displayName} are complete.`);
    tables = await session.open.connector.listTables(session.ctx);
    passed('tables', `The source lists ${tables.length} ${tables.length === 1 ? 'table' : 'tables'}.`);
    const read = await readOne(session, tables, connection);
    passed('read', read.detail, read.passed);
    return {...base, passed: true, checks, tables, error: null};
  } catch (error) {
    options.signal.throwIfAborted();
    const told = await toldError(error, connection);
    const step = checks.length === 0 ? 'options' : tables === null ? 'tables' : 'read';
    passed(step, told.message, false);
    return {...base, passed: false, checks, tables, error: told};
  }
}

/** What may be told of an error of a connection (null: of none): no value of its secret options. */
export async function toldError(
  error: unknown,
  connection: ConnectionSpec | null,
): Promise<NonNullable<ConnectionReport['error']>> {
  const redactor = createRedactor(connection === null ? [] : await secretValues(connection));
  if (!isIngestError(error)) return {code: 'INTERNAL', message: redactor.text(messageOf(error))};
  const fix = error.fix === undefined ? {} : {fix: redactor.text(error.fix)};
  return {code: error.code, message: redactor.text(error.message), ...fix};
}

/** Values of the options that the spec calls secret; all texts but addresses when the connector itself cannot be loaded. */
async function secretValues(connection: ConnectionSpec): Promise<readonly string[]> {
  const spec = await connectorDefinition(connection).then(
    (definition) => definition.spec,
    () => null,
  );
  return Object.entries(connection.options).flatMap(([option, value]) => {
    const isSecret = spec === null ? !/^https?:\/\/[^@]*$/.test(String(value)) : isSecretOption(spec, option);
    return isSecret && value !== undefined ? [value].flat().map(String) : [];
  });
}

async function readOne(
  session: ConnectionSession,
  tables: readonly string[],
  connection: ConnectionSpec,
): Promise<{readonly passed: boolean | null; readonly detail: string}> {
  const {connector, definition} = session.open;
  let refused: unknown = null;
  for (const table of tables.slice(0, TRIED_TABLES)) {
    try {
      const options = resolveOptions(definition.spec.table, {}, `table "${table}"`);
      await connector.readTableMetadata(table, options, session.ctx);
      const {fields} = await connector.getTableSchema(table, options, session.ctx);
      const ctx = readContextOf({
        ...session.ctx,
        log: silentLog,
        triggerStartedAt: session.ctx.clock.nowMicros(),
        maxRows: 10,
      });
      let detail = `${table} has ${fields.length} columns and no rows.`;
      for await (const page of firstPages(connector, {table, options, ctx})) {
        detail = `Read a page of ${table}: ${rowsOf(page)}, ${fields.length} columns.`;
        break;
      }
      return {passed: true, detail};
    } catch (error) {
      // Of tables that want options of their own, or that this user may not see, others may be readable.
      if (!isIngestError(error, 'PERMISSION_DENIED') && !isIngestError(error, 'INVALID_OPTION')) throw error;
      refused = error;
    }
  }
  if (refused === null) return {passed: null, detail: 'There is no table to read from.'};
  if (isIngestError(refused, 'PERMISSION_DENIED')) throw refused;
  return {passed: null, detail: `Not tried: ${(await toldError(refused, connection)).message}`};
}

function rowsOf(page: Page): string {
  const count =
    'kind' in page
      ? page.kind === 'records'
        ? page.rows.length
        : page.kind === 'changes'
          ? page.changes.length
          : page.kind === 'columns'
            ? page.batch.rowCount
            : null
      : page.length;
  if (count === null) return 'files';
  return `${count} ${count === 1 ? 'row' : 'rows'}`;
}
