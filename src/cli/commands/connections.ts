import {readFileSync} from 'node:fs';
import {resolve} from 'node:path';

import {IngestError, messageOf} from '../../core/errors.ts';
import type {KnownConnections} from '../../runtime/config/load-pipelines.ts';
import type {StoredConnection} from '../../runtime/connections/connection-store.ts';
import type {ConnectionReport} from '../../runtime/connections/test-connection.ts';
import {interruptible, OK, printJson, printLines, silently, type CommandContext} from '../command-context.ts';
import type {ConnectionsFlags} from '../connections-program.ts';
import {problemLines} from '../error-text.ts';
import {EXIT} from '../io.ts';
import {visible} from '../terminal-text.ts';
import {left, printTable} from './inspect.ts';

/** Flags of `sluice connections create`. */
export interface CreateFlags extends ConnectionsFlags {
  readonly connector: string;
  readonly option?: Readonly<Record<string, string>>;
  readonly optionsFile?: string;
  readonly fromEnv?: boolean;
  readonly replace?: boolean;
}

/** Flags of `sluice connections test`. */
export interface TestFlags extends ConnectionsFlags {
  readonly trace?: string;
}

/** Flags of `sluice connections login`. */
export interface LoginFlags extends ConnectionsFlags {
  readonly port?: number;
  readonly redirectHost?: '127.0.0.1' | 'localhost';
  readonly scopes?: string;
  readonly browser?: boolean;
}

type OptionTexts = Readonly<Record<string, string | number | boolean | readonly string[]>>;

const MASK = '********';

/** The connections that a command may name. @throws INVALID_SPEC */
export async function knownConnections(context: CommandContext, flags: ConnectionsFlags): Promise<KnownConnections> {
  const {loadConnections} = await import('../../runtime/config/load-pipelines.ts');
  const {cwd, env} = context.io;
  return loadConnections({
    file: flags.file,
    target: flags.target,
    variables: flags.var ?? {},
    cwd,
    env,
    home: flags.home === undefined ? undefined : resolve(cwd, flags.home),
  });
}

/** Stores a connection. */
export async function connectionsCreateCommand(
  context: CommandContext,
  name: string,
  flags: CreateFlags,
): Promise<number> {
  const known = await knownConnections(context, flags);
  const {createConnection} = await import('../../runtime/connections/create-connection.ts');
  const fromFile = flags.optionsFile === undefined ? {} : await readOptions(flags.optionsFile, context.io.cwd);
  const {stored, taken, notes} = await createConnection(known, {
    name,
    connector: flags.connector,
    folder: context.io.cwd,
    options: {...fromFile, ...flags.option},
    fromEnvironment: flags.fromEnv === true,
    replace: flags.replace === true,
  });
  const sealed = Object.keys(stored.sealed);
  if (flags.json === true) printJson(context, {connection: name, connector: stored.connector, sealed, taken, notes});
  else if (flags.quiet !== true) {
    printLines(context, [
      `Stored connection ${name} (${stored.connector}) in ${known.store.home}.`,
      ...(sealed.length === 0 ? [] : [`Sealed: ${sealed.join(', ')}.`]),
      ...(taken.length === 0 ? [] : [`From the environment: ${taken.join(', ')}.`]),
      ...notes.map(visible),
    ]);
  }
  return OK;
}

async function readOptions(file: string, cwd: string): Promise<OptionTexts> {
  const shown = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : resolve(cwd, file), 'utf8');
  } catch (error) {
    throw new IngestError('INVALID_OPTION', `${shown} cannot be read: ${messageOf(error)}.`, {
      fix: 'Name a file that exists.',
    });
  }
  const {parse} = await import('yaml');
  let value: unknown = null;
  try {
    value = parse(text);
  } catch {
    // The parser's message would quote the file, which holds secrets.
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value).filter(([, option]) => option !== null);
    if (entries.every(([, option]) => isOption(option))) return Object.fromEntries(entries) as OptionTexts;
  }
  throw new IngestError('INVALID_OPTION', `${shown} holds no mapping of option names to texts, numbers or lists.`, {
    fix: 'Write one line per option: NAME: VALUE',
  });
}

function isOption(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string');
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** Lists connections; asks no source and opens no secret. */
export async function connectionsListCommand(context: CommandContext, flags: ConnectionsFlags): Promise<number> {
  const known = await knownConnections(context, flags);
  const {listStored} = await import('../../runtime/connections/connection-store.ts');
  const stored = listStored(known.store).filter((one) => !known.declared.includes(one.name));
  const rows = [
    ...known.declared.map((name) => ({name, connector: known.connectorOf(name), where: known.file ?? '', login: null})),
    ...stored.map(({name, connector, login}) => ({name, connector, where: 'store', login: login?.at ?? null})),
  ];
  if (flags.json === true) printJson(context, {home: known.store.home, connections: rows});
  else if (rows.length === 0)
    printLines(context, ['There is no connection. Make one: sluice connections create NAME --connector TYPE']);
  else
    printTable(
      context,
      [left('NAME'), left('CONNECTOR'), left('FROM'), left('LOGGED IN')],
      rows.map((row) => [row.name, row.connector, row.where, row.login ?? '-'].map(visible)),
    );
  return OK;
}

/** Shows a connection, secrets masked. */
export async function connectionsShowCommand(
  context: CommandContext,
  name: string,
  flags: ConnectionsFlags,
): Promise<number> {
  const known = await knownConnections(context, flags);
  const {findStored} = await import('../../runtime/connections/connection-store.ts');
  const {connectorDefinition} = await import('../../runtime/open-connector.ts');
  const {isSecretOption, withoutUserInfo} = await import('../../runtime/connections/create-connection.ts');
  const stored = known.declared.includes(name) ? null : findStored(known.store, name);
  const connection = stored === null ? known.find(name) : {...stored, options: stored.options};
  const {spec} = await connectorDefinition(connection);
  const shown = Object.entries(connection.options).map(([option, value]): [string, unknown] => [
    option,
    isSecretOption(spec, option) && !(stored !== null && isReference(value)) ? MASK : withoutUserInfo(value),
  ]);
  const options = Object.fromEntries([...shown, ...Object.keys(stored?.sealed ?? {}).map((option) => [option, MASK])]);
  if (flags.json === true) {
    const {connector} = connection;
    printJson(context, {
      name,
      connector,
      from: stored === null ? known.file : 'store',
      ...storedTimes(stored),
      options,
    });
    return OK;
  }
  const lines = Object.entries(options).map(([option, value]) => `  ${option}: ${visible(String(value))}`);
  printLines(context, [
    `${visible(name)}: ${connection.connector}, ${stored === null ? `declared in ${known.file ?? ''}` : 'stored'}`,
    ...lines.sort(),
    ...(stored === null ? [] : [`changed ${stored.updatedAt}`]),
    ...(stored?.login === null || stored === null ? [] : [`logged in ${stored.login.at} (${stored.login.option})`]),
  ]);
  return OK;
}

function isReference(value: unknown): boolean {
  return typeof value === 'string' && value.includes('${env.');
}

function storedTimes(stored: StoredConnection | null): object {
  return stored === null ? {} : {createdAt: stored.createdAt, updatedAt: stored.updatedAt, login: stored.login};
}

/** Removes a stored connection. @throws INVALID_OPTION when there is none */
export async function connectionsDeleteCommand(
  context: CommandContext,
  name: string,
  flags: ConnectionsFlags,
): Promise<number> {
  const known = await knownConnections(context, flags);
  const {deleteConnection, listStored, unknownConnection} =
    await import('../../runtime/connections/connection-store.ts');
  const names = listStored(known.store).map((one) => one.name);
  if (!(await deleteConnection(known.store, name))) throw unknownConnection(name, names);
  if (flags.json === true) printJson(context, {deleted: name});
  else if (flags.quiet !== true) printLines(context, [`Deleted connection ${name} with its secrets.`]);
  return OK;
}

/** Tries a connection. */
export async function connectionsTestCommand(context: CommandContext, name: string, flags: TestFlags): Promise<number> {
  const known = await knownConnections(context, flags);
  const {testConnection} = await import('../../runtime/connections/test-connection.ts');
  const {withTrace} = await import('../../runtime/trace-file.ts');
  const connection = known.find(name);
  const trace = flags.trace === undefined ? undefined : resolve(context.io.cwd, flags.trace);
  const report = await interruptible(context, silently, (signal) =>
    withTrace(trace, (traceFile) => testConnection(connection, {signal, traceFile, env: context.io.env})),
  );
  if (flags.json === true) printJson(context, report);
  else printReport(context, report, flags.quiet === true);
  return report.passed ? OK : EXIT.failed;
}

function printReport(context: CommandContext, report: ConnectionReport, quiet: boolean): void {
  const {paint, errorPaint, io} = context;
  const words = {true: paint.green('ok'), false: paint.red('failed'), null: paint.yellow('skipped')};
  if (!quiet) {
    printLines(context, [
      `${visible(report.connection)} (${report.connector})`,
      ...report.checks.map(
        (check) => `  ${words[`${check.passed}`]}  ${check.step}  ${check.elapsedMs} ms  ${visible(check.detail)}`,
      ),
    ]);
  }
  const {error} = report;
  if (error === null) return;
  const lines = problemLines({...error, at: null, fix: error.fix ?? null}, errorPaint);
  io.stderr.write(lines.map((line) => `${line}\n`).join(''));
}

/** Logs in with the browser. */
export async function connectionsLoginCommand(
  context: CommandContext,
  name: string,
  flags: LoginFlags,
): Promise<number> {
  const known = await knownConnections(context, flags);
  const {loginConnection} = await import('../../runtime/connections/login-connection.ts');
  const {openBrowser} = await import('../../runtime/connections/open-browser.ts');
  const {env, stderr} = context.io;
  const report = await interruptible(context, silently, (signal) =>
    loginConnection(known, name, {
      port: flags.port,
      redirectHost: flags.redirectHost,
      scopes: flags.scopes,
      signal,
      onUrl: (url) => {
        const isOpening = flags.browser !== false && openBrowser(url, env);
        stderr.write(`${isOpening ? 'Your browser opens' : 'Open'} this address to log in:\n\n  ${url}\n\n`);
      },
    }),
  );
  if (flags.json === true) printJson(context, report);
  else if (flags.quiet !== true) {
    const scopes = report.scopes === null ? '' : ` Scopes: ${visible(report.scopes)}.`;
    printLines(context, [`Logged in. The ${report.kind} is sealed as ${report.option} of ${name}.${scopes}`]);
  }
  return OK;
}
