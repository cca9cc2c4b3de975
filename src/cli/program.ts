import {readFileSync} from 'node:fs';

import {Command, CommanderError, InvalidArgumentError, Option} from 'commander';

import type {CommandContext, CliServices, CommonFlags, ConfigFlags} from './command-context.ts';
import {addConnectionsCommands} from './connections-program.ts';
import {addConnectorCommands} from './connector-program.ts';
import {addGatewayCommands} from './gateway-program.ts';
import {EXIT, type CliIo} from './io.ts';

/** Runs a command line and resolves to the exit status. Everything that a command needs is loaded when it runs. */
export async function runCli(
  args: readonly string[],
  io: CliIo,
  services: CliServices = defaultServices,
): Promise<number> {
  let status: number = EXIT.ok;
  const program = createProgram(services, io, (value) => {
    status = value;
  });
  try {
    await program.parseAsync(args, {from: 'user'});
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end this way too.
    return error.exitCode === 0 ? EXIT.ok : EXIT.badInput;
  }
}

const defaultServices: CliServices = {
  runtime: async () => (await import('../runtime/index.ts')).runtime,
  checkPipeline: async (spec) => (await import('../runtime/config/check-pipeline.ts')).checkPipeline(spec),
};

/** The commands; `onExit` hears the exit status of the one that ran. */
export function createProgram(services: CliServices, io: CliIo, onExit: (status: number) => void): Command {
  const program = new Command('sluice')
    .description(
      'Ingest SaaS applications, databases and files into Delta Lake tables, incrementally and exactly once.',
    )
    .option('-V, --version', 'print the version')
    // Options of the program come before the command: restore has a --version of its own.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => Math.min(io.stdout.size().columns, 120),
      getErrHelpWidth: () => Math.min(io.stderr.size().columns, 120),
    })
    .helpCommand('help [COMMAND]', 'show help for a command')
    .showHelpAfterError('(sluice --help lists commands and options)');
  program.on('option:version', () => {
    io.stdout.write(`${packageVersion()}\n`);
    throw new CommanderError(EXIT.ok, 'commander.version', '');
  });
  const act = actionRunner(services, io, onExit);
  addRunCommands(program, act);
  addLookCommands(program, act);
  addMaintenanceCommands(program, act);
  addRestoreCommand(program, act);
  addStateCommands(program, act);
  addConnectionsCommands(program, {act, output: (command) => common(command, 'output'), variable});
  addGatewayCommands(program, {act, named});
  addConnectorCommands(program, {act, output: (command) => common(command, 'output'), positive, repeated});
  return program;
}

function packageVersion(): string {
  const {version} = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return version;
}

/** A command's work: gets the context and its flags, resolves to the exit status. */
type Work<F extends CommonFlags> = (context: CommandContext, flags: F) => Promise<number>;

/** Runs a command's work and prints what it throws. */
type Act = <F extends CommonFlags>(flags: F, work: Work<F>) => Promise<void>;

function actionRunner(services: CliServices, io: CliIo, onExit: (status: number) => void): Act {
  return async (flags, work) => {
    const {commandContext} = await import('./command-context.ts');
    const context = commandContext(io, services, flags);
    try {
      onExit(await work(context, flags));
    } catch (error) {
      const {errorJson, errorLines, exitStatusOf} = await import('./error-text.ts');
      const {jsonText} = await import('./json-text.ts');
      if (flags.json === true) io.stdout.write(`${jsonText({error: errorJson(error)})}\n`);
      else
        io.stderr.write(
          errorLines(error, context.errorPaint, flags.verbose === true)
            .map((line) => `${line}\n`)
            .join(''),
        );
      onExit(exitStatusOf(error));
    }
  };
}

const FILE = 'configuration file (default: sluice.yml, then databricks.yml)';
const PIPELINE = 'key or name of a pipeline (default: all)';
const TRACE = 'write the exchanges with the source to a HAR file, secrets removed';
const TABLE = 'only tables whose source or destination name matches; repeatable';

function addRunCommands(program: Command, act: Act): void {
  common(
    program
      .command('init')
      .description('write a commented sluice.yml that runs at once')
      .argument('[FOLDER]', 'where', '.'),
    'output',
  ).action((folder: string, flags: CommonFlags) =>
    act(flags, async (context) =>
      (await import('./commands/init.ts')).initCommand(context, folder === '.' ? undefined : folder),
    ),
  );
  place(program.command('run').description('bring the destination tables up to date'))
    .addOption(tableOption())
    .addOption(new Option('--full-refresh', 'read all tables anew').conflicts('fullRefreshTables'))
    .option('--full-refresh-tables <A,B>', 'read these tables anew', commaList)
    .option('--drop-history', 'with a full refresh: SCD_TYPE_2 tables begin their history anew')
    .option('--backfill <TABLE:COLUMN,...>', 'fill these columns for the rows that are there; repeatable', backfill)
    .option('--parallel <N>', 'tables at a time (default: 4)', positive)
    .option('--trace <FILE>', TRACE)
    .action((file, pipeline, flags) =>
      act(flags, async (context) =>
        (await import('./commands/run.ts')).runCommand(context, await placed(context, flags, [file, pipeline])),
      ),
    );
  place(program.command('validate').description('check the configuration without asking the source')).action(
    (file, pipeline, flags) =>
      act(flags, async (context) =>
        (await import('./commands/inspect.ts')).validateCommand(
          context,
          await placed(context, flags, [file, pipeline]),
        ),
      ),
  );
  place(program.command('plan').description('say what a run would do to every table'))
    .addOption(tableOption())
    .action((file, pipeline, flags) =>
      act(flags, async (context) =>
        (await import('./commands/plan.ts')).planCommand(context, await placed(context, flags, [file, pipeline])),
      ),
    );
  place(
    program.command('verify').description('prove that the tables equal their source; exit status 1 when one does not'),
  )
    .addOption(tableOption())
    .addOption(
      new Option(
        '--mode <MODE>',
        'full: by sums that the source computes; reread: by reading the source once more; auto: by sums where it can',
      ).choices(['auto', 'full', 'reread'] as const),
    )
    .action((file, pipeline, flags) =>
      act(flags, async (context) =>
        (await import('./commands/verify.ts')).verifyCommand(context, await placed(context, flags, [file, pipeline])),
      ),
    );
}

function addLookCommands(program: Command, act: Act): void {
  const inspect = () => import('./commands/inspect.ts');
  place(program.command('tables').description('list the tables of the source')).action((file, pipeline, flags) =>
    act(flags, async (context) =>
      (await inspect()).tablesCommand(context, await placed(context, flags, [file, pipeline])),
    ),
  );
  named(
    program
      .command('preview')
      .description('show rows of a source table as they would land')
      .argument('<TABLE>', 'source or destination name'),
  )
    .option('--limit <N>', 'rows (default: 10)', positive)
    .option('--trace <FILE>', TRACE)
    .action((table: string, flags) =>
      act(flags, async (context) => (await inspect()).previewCommand(context, table, flags)),
    );
  place(program.command('status').description('show what the destination tables look like now')).action(
    (file, pipeline, flags) =>
      act(flags, async (context) =>
        (await inspect()).statusCommand(context, await placed(context, flags, [file, pipeline])),
      ),
  );
  named(
    program
      .command('query')
      .description('run SQL over the tables of the lake')
      .argument('<SQL>', 'one SELECT statement, in quotes'),
  )
    .option('--limit <N>', 'rows (default: 100)', positive)
    .addOption(new Option('--at <TABLE=VERSION>', 'a table as of a version or a time; repeatable').argParser(repeated))
    .action((sql: string, flags) => act(flags, async (context) => (await inspect()).queryCommand(context, sql, flags)));
  named(
    program
      .command('history')
      .description('show the versions of a table of the lake')
      .argument('<TABLE>', 'catalog.schema.table'),
  )
    .option('--limit <N>', 'versions (default: 20)', positive)
    .action((table: string, flags) =>
      act(flags, async (context) => (await inspect()).historyCommand(context, table, flags)),
    );
  named(
    program
      .command('changes')
      .description('show which rows the versions of a table inserted, updated and deleted')
      .argument('<TABLE>', 'catalog.schema.table'),
  )
    .requiredOption('--from <VERSION>', 'first version, or a time')
    .option('--to <VERSION>', 'last version, or a time (default: the newest)')
    .option('--limit <N>', 'rows (default: 100)', positive)
    .action((table: string, flags) =>
      act(flags, async (context) => (await import('./commands/changes.ts')).changesCommand(context, table, flags)),
    );
}

function addMaintenanceCommands(program: Command, act: Act): void {
  const maintain = () => import('./commands/maintain.ts');
  named(
    program
      .command('describe')
      .description('show what a table of the lake is made of')
      .argument('<TABLE>', 'catalog.schema.table'),
  ).action((table: string, flags) =>
    act(flags, async (context) => (await maintain()).describeCommand(context, table, flags)),
  );
  place(program.command('optimize').description('pack small files and drop rows that deletion vectors hide'))
    .addOption(tableOption())
    .option('--purge', 'write every file anew that has a deletion vector')
    .option('--dry-run', 'only say what would be done')
    .action((file, pipeline, flags) =>
      act(flags, async (context) =>
        (await maintain()).optimizeCommand(context, await placed(context, flags, [file, pipeline])),
      ),
    );
  place(program.command('vacuum').description('remove files and log entries that no kept version needs'))
    .addOption(tableOption())
    .option('--retain <HOURS>', 'age of files that are kept (default: 168)', hours)
    .option('--dry-run', 'only say what would be removed')
    .option('--force', 'allow --retain under 1 hour')
    .action((file, pipeline, flags) =>
      act(flags, async (context) =>
        (await maintain()).vacuumCommand(context, await placed(context, flags, [file, pipeline])),
      ),
    );
}

function addRestoreCommand(program: Command, act: Act): void {
  named(
    program
      .command('restore')
      .description('put a table back to an older version, rows and offset together')
      .argument('<TABLE>', 'catalog.schema.table'),
  )
    .option('--version <N>', 'the version to go back to', versionNumber)
    .option('--timestamp <TIME>', 'the version that was the newest at a time, for example 2026-01-31T12:30:00Z')
    .option('--dry-run', 'only say what would change')
    .action((table: string, flags) =>
      act(flags, async (context) => (await import('./commands/restore.ts')).restoreCommand(context, table, flags)),
    );
}

function addStateCommands(program: Command, act: Act): void {
  const commands = () => import('./commands/state.ts');
  const state = program.command('state').description('show or change where the flows stand');
  named(
    state
      .command('show')
      .description('show offsets and batches')
      .argument('[TABLES...]', 'source or destination names (default: all)'),
  ).action((tables: string[], flags) =>
    act(flags, async (context) => (await commands()).stateShowCommand(context, tables, flags)),
  );
  named(
    state
      .command('reset')
      .description('forget offsets: the next run reads the tables anew')
      .argument('[TABLES...]', 'source or destination names'),
  )
    .option('--all', 'all tables of the pipeline')
    .action((tables: string[], flags) =>
      act(flags, async (context) => (await commands()).stateResetCommand(context, tables, flags)),
    );
  named(
    state
      .command('adopt')
      .description('take over tables that belong to nobody or to another pipeline, or accept what others wrote')
      .argument('<TABLES...>', 'destination names'),
  ).action((tables: string[], flags) =>
    act(flags, async (context) => (await commands()).stateAdoptCommand(context, tables, flags)),
  );
}

/** Flags of every command; `output`: only those about output. */
function common(command: Command, what: 'output' | 'all'): Command {
  const all = what === 'all';
  if (all) {
    command
      .option(
        '--lake <PLACE>',
        'the lake: a folder, or s3://, abfss://, gs:// (default: SLUICE_LAKE, then lake: of the file, then ./lake)',
      )
      .option('--memory <MB>', 'memory of the engine (default: 1024)', positive)
      .option('--threads <N>', 'threads of the engine (default: all cores)', positive);
  }
  return command
    .option('--json', 'print JSON')
    .option('-q, --quiet', 'print errors only')
    .option('-v, --verbose', 'print more, and the stack of errors');
}

/** Flags of commands that read a configuration. */
function configured(command: Command): Command {
  const variables = new Option('--var <NAME=VALUE>', 'value of a bundle variable; repeatable').argParser(variable);
  return common(command.option('--target <NAME>', 'target of the bundle').addOption(variables), 'all');
}

/** `[FILE] [PIPELINE]`. */
function place(command: Command): Command {
  return configured(command.argument('[FILE]', FILE).argument('[PIPELINE]', PIPELINE));
}

/** The same as flags, for commands whose arguments are something else. */
function named(command: Command): Command {
  return configured(
    command.option('-f, --file <FILE>', FILE).option('-p, --pipeline <NAME>', 'key or name of a pipeline'),
  );
}

function tableOption(): Option {
  return new Option('--table <PATTERN>', TABLE).argParser(repeated);
}

function repeated(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

async function placed<F extends ConfigFlags>(
  context: CommandContext,
  flags: F,
  args: readonly (string | undefined)[],
): Promise<F> {
  const {fileAndPipeline} = await import('./command-context.ts');
  return {...flags, ...(await fileAndPipeline(args[0], args[1], context.io.cwd))};
}

function variable(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Write NAME=VALUE.');
  return {...before, [name]: value};
}

function positive(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0) throw new InvalidArgumentError('Give a whole number above 0.');
  return Number(text);
}

function versionNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Give a version, for example 12.');
  return Number(text);
}

function hours(text: string): number {
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(text)) throw new InvalidArgumentError('Give a number of hours, for example 168.');
  return Number(text);
}

type BackfillFlag = {readonly table: string; readonly columns: readonly string[]};

function backfill(text: string, before: readonly BackfillFlag[] = []): readonly BackfillFlag[] {
  const at = text.indexOf(':');
  const [table, columns] = [text.slice(0, at).trim(), at < 1 ? '' : text.slice(at + 1)];
  if (table === '' || columns.trim() === '')
    throw new InvalidArgumentError('Write TABLE:COLUMN or TABLE:COLUMN,COLUMN.');
  return [...before, {table, columns: commaList(columns)}];
}

function commaList(text: string): readonly string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) throw new InvalidArgumentError('Name at least one table.');
  return names;
}
