import {watch, type FSWatcher} from 'node:fs';
import {dirname, join} from 'node:path';

import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import {loadTarget, resolveTarget, type ConnectorTarget} from '../../runtime/author/connector-target.ts';
import {previewTables, type PreviewedTable, type PreviewRequest} from '../../runtime/author/preview-session.ts';
import {
  interruptible,
  OK,
  printJson,
  printLines,
  printWidth,
  silently,
  type CommandContext,
  type CommonFlags,
} from '../command-context.ts';
import {proofOf} from '../connector-proof.ts';
import {errorLines} from '../error-text.ts';
import {EXIT} from '../io.ts';
import {readTableOptions} from '../option-files.ts';
import {durationText} from '../plain-words.ts';
import {previewJson, previewLines} from '../preview-text.ts';
import {sourceLogin} from '../source-login.ts';

/** Flags of `sluice connector dev`. */
export interface ConnectorDevFlags extends CommonFlags {
  readonly table?: readonly string[];
  readonly limit?: number;
  readonly credentials?: string;
  readonly connection?: string;
  readonly config?: string;
  readonly once?: boolean;
}

const DEFAULT_ROWS = 5;
/** An editor writes a file in several steps. */
const SETTLE_MS = 80;

/** Previews a connector, once or whenever a file of it changes. */
export async function connectorDevCommand(
  context: CommandContext,
  name: string,
  flags: ConnectorDevFlags,
): Promise<number> {
  const target = await resolveTarget(name, context.io.cwd);
  return interruptible(context, silently, async (signal) => {
    if (flags.once === true || target.kind === 'builtin') {
      const {problems} = await showPreview(context, target, flags, signal);
      return problems === 0 ? OK : EXIT.failed;
    }
    // Ends with Ctrl-C.
    while (!signal.aborted) {
      const inputs = await showOrTell(context, target, flags, signal);
      if (signal.aborted) break;
      if (flags.json !== true) printLines(context, [context.paint.dim('Waiting for a change; Ctrl-C ends.')]);
      await changeOf(inputs, signal);
      if (context.io.stdout.isTerminal && !signal.aborted) context.io.stdout.write('\u001B[2J\u001B[H');
    }
    return OK;
  });
}

/** Shows the preview, or the error that kept it from being shown; gives the files to watch. */
async function showOrTell(
  context: CommandContext,
  target: Extract<ConnectorTarget, {kind: 'path'}>,
  flags: ConnectorDevFlags,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    return (await showPreview(context, target, flags, signal)).inputs;
  } catch (error) {
    if (!signal.aborted)
      context.io.stderr.write(
        errorLines(error, context.errorPaint, flags.verbose === true)
          .map((line) => `${line}\n`)
          .join(''),
      );
    return [join(target.path, 'index.ts')];
  }
}

async function showPreview(
  context: CommandContext,
  target: ConnectorTarget,
  flags: ConnectorDevFlags,
  signal: AbortSignal,
): Promise<{readonly problems: number; readonly inputs: readonly string[]}> {
  const startedAt = performance.now();
  await using source = await openSource(context, target, flags);
  const {definition, inputs} = source;
  if (flags.json !== true)
    printLines(context, [
      `${context.paint.bold(definition.name)} on ${source.about}, loaded in ${durationText(performance.now() - startedAt)}`,
      '',
    ]);
  const shown: PreviewedTable[] = [];
  const tables = previewTables({
    definition,
    options: source.options,
    ...(source.connectionName === undefined ? {} : {connectionName: source.connectionName}),
    ...(source.secrets === undefined ? {} : {secrets: source.secrets}),
    ...(source.proxies === undefined ? {} : {proxies: source.proxies}),
    clock: source.clock,
    tables: flags.table ?? [],
    tableOptions: source.tableOptions,
    limit: flags.limit ?? DEFAULT_ROWS,
    signal,
  });
  for await (const table of tables) {
    shown.push(table);
    if (flags.json !== true)
      printLines(context, [...previewLines(table, {width: printWidth(context), paint: context.paint}), '']);
  }
  if (flags.json === true)
    printJson(context, {connector: definition.name, source: source.about, tables: shown.map(previewJson)});
  return {problems: shown.reduce((sum, table) => sum + table.problems.length, 0), inputs};
}

interface DevSource
  extends
    AsyncDisposable,
    Pick<
      PreviewRequest,
      'definition' | 'options' | 'connectionName' | 'secrets' | 'proxies' | 'clock' | 'tableOptions'
    > {
  readonly about: string;
  readonly inputs: readonly string[];
}

/** The real source with the credentials of a file or connection, else the connector's simulator. @throws INVALID_OPTION when there is neither */
async function openSource(
  context: CommandContext,
  target: ConnectorTarget,
  flags: ConnectorDevFlags,
): Promise<DevSource> {
  const {cwd} = context.io;
  const tableOptions = await readTableOptions(target, flags.config, cwd);
  if (flags.credentials !== undefined || flags.connection !== undefined) {
    const {definition, inputs} = await loadTarget(target, cwd);
    const login = await sourceLogin(context, flags, definition.name);
    return {
      definition,
      inputs,
      options: {},
      ...login,
      clock: systemClock,
      tableOptions,
      about: 'its real source',
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const found = await proofOf(target);
  if (found === null) {
    // What is wrong with the connector itself comes first.
    await loadTarget(target, cwd);
    throw new IngestError('INVALID_OPTION', 'The connector has no simulator.', {
      fix: 'Add simulator.ts beside it (see docs/write-a-connector.md), or read the real source: --credentials FILE or --connection NAME',
    });
  }
  const {proof, inputs} = found;
  const source = await proof.start({seed: 1});
  const own = Object.entries(proof.tables).map(([table, {options}]) => [table, {...options, ...tableOptions[table]}]);
  return {
    definition: proof.definition,
    inputs,
    options: source.connectionOptions,
    clock: source.clock,
    tableOptions: {...tableOptions, ...Object.fromEntries(own)},
    about: 'its simulator',
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** Resolves when one of the files changes, or another one beside them; also when the signal fires. */
async function changeOf(files: readonly string[], signal: AbortSignal): Promise<void> {
  const folders = new Set(files.map((file) => dirname(file)).filter((folder) => !folder.includes('node_modules')));
  const watchers: FSWatcher[] = [];
  try {
    await new Promise<void>((done) => {
      let timer: NodeJS.Timeout | null = null;
      const changed = (): void => {
        if (timer !== null) clearTimeout(timer);
        timer = setTimeout(done, SETTLE_MS);
      };
      for (const folder of folders)
        watchers.push(
          watch(folder, (_, name) => {
            if (name === null || /\.(m?[jt]s|json|ya?ml)$/.test(name)) changed();
          }),
        );
      signal.addEventListener('abort', () => done(), {once: true});
    });
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}
