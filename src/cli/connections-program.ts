import {InvalidArgumentError, Option, type Command} from 'commander';

import type {CommandContext, CommonFlags} from './command-context.ts';

/** Runs a command's work and prints what it throws. */
type Act = <F extends CommonFlags>(
  flags: F,
  work: (context: CommandContext, flags: F) => Promise<number>,
) => Promise<void>;

/** What the commands share with those of the program. */
export interface ConnectionsCommandParts {
  readonly act: Act;
  /** Adds the flags of every command that are about output. */
  readonly output: (command: Command) => Command;
  /** Reads `NAME=VALUE`. */
  readonly variable: (
    text: string,
    before: Readonly<Record<string, string>> | undefined,
  ) => Readonly<Record<string, string>>;
}

/** Flags of commands about connections, of the configuration and of the store. */
export interface ConnectionsFlags extends CommonFlags {
  readonly file?: string;
  readonly target?: string;
  readonly var?: Readonly<Record<string, string>>;
  /** Folder of Sluice's own files. */
  readonly home?: string;
}

const NAME = 'name of a connection, of the configuration or stored';
const HOME = 'folder of stored connections (default: SLUICE_HOME, then .sluice beside the configuration)';

/** `sluice connections …` and `sluice mcp`. Each is loaded when it runs. */
export function addConnectionsCommands(program: Command, parts: ConnectionsCommandParts): void {
  const connections = program
    .command('connections')
    .description('store connections with their secrets sealed, log in, try them');
  addStoreCommands(connections, parts);
  addTryCommands(connections, parts);
  addMcpCommand(program, parts);
}

function addStoreCommands(connections: Command, parts: ConnectionsCommandParts): void {
  const {act} = parts;
  const commands = () => import('./commands/connections.ts');
  placed(
    connections
      .command('create')
      .description('store a connection; secrets are sealed and never shown again')
      .argument('<NAME>', 'letters, digits, "_", "-"'),
    parts,
  )
    .requiredOption('--connector <TYPE>', 'name of a connector, or a path to one')
    .addOption(
      new Option(
        '--option <NAME=VALUE>',
        'an option of the connection; repeatable; ${env.X} stays a reference',
      ).argParser(parts.variable),
    )
    .option('--options-file <FILE>', 'options as a JSON or YAML mapping; - reads standard input')
    .option('--from-env', 'take options that are not given from variables CONNECTOR_OPTION, for example STRIPE_API_KEY')
    .option('--replace', 'take the place of a stored connection of that name')
    .action((name: string, flags) =>
      act(flags, async (context) => (await commands()).connectionsCreateCommand(context, name, flags)),
    );
  placed(
    connections.command('list').description('list connections of the configuration and of the store'),
    parts,
  ).action((flags) => act(flags, async (context) => (await commands()).connectionsListCommand(context, flags)));
  placed(
    connections.command('show').description('show a connection, secrets masked').argument('<NAME>', NAME),
    parts,
  ).action((name: string, flags) =>
    act(flags, async (context) => (await commands()).connectionsShowCommand(context, name, flags)),
  );
  placed(
    connections
      .command('delete')
      .description('remove a stored connection with its secrets')
      .argument('<NAME>', 'name of a stored connection'),
    parts,
  ).action((name: string, flags) =>
    act(flags, async (context) => (await commands()).connectionsDeleteCommand(context, name, flags)),
  );
}

function addTryCommands(connections: Command, parts: ConnectionsCommandParts): void {
  const {act} = parts;
  const commands = () => import('./commands/connections.ts');
  placed(
    connections
      .command('test')
      .description('log in, list tables and read a page; exit status 1 when that fails')
      .argument('<NAME>', NAME),
    parts,
  )
    .option('--trace <FILE>', 'write the exchanges with the source to a HAR file, secrets removed')
    .action((name: string, flags) =>
      act(flags, async (context) => (await commands()).connectionsTestCommand(context, name, flags)),
    );
  placed(
    connections
      .command('login')
      .description('log in with the browser (OAuth) and keep the token sealed')
      .argument('<NAME>', NAME),
    parts,
  )
    .option('--port <N>', 'port that the browser comes back to (default: any)', port)
    .addOption(
      new Option('--redirect-host <HOST>', 'how the redirect address names this machine')
        .choices(['127.0.0.1', 'localhost'] as const)
        .default('127.0.0.1'),
    )
    .option('--scopes <TEXT>', "scopes to ask for instead of the connector's, separated by blanks")
    .option('--no-browser', 'only print the address')
    .action((name: string, flags) =>
      act(flags, async (context) => (await commands()).connectionsLoginCommand(context, name, flags)),
    );
}

function addMcpCommand(program: Command, {act, output, variable}: ConnectionsCommandParts): void {
  const command = program
    .command('mcp')
    .description('serve the connections to an AI assistant (Model Context Protocol over standard input and output)')
    .argument('[FILE]', 'configuration file (default: sluice.yml, then databricks.yml)');
  output(
    command
      .option('--home <FOLDER>', HOME)
      .option('--target <NAME>', 'target of the bundle')
      .addOption(new Option('--var <NAME=VALUE>', 'value of a bundle variable; repeatable').argParser(variable)),
  ).action((file: string | undefined, flags) =>
    act(flags, async (context) =>
      (await import('./mcp/mcp-command.ts')).mcpCommand(context, file === undefined ? flags : {...flags, file}),
    ),
  );
}

function placed(command: Command, {output, variable}: ConnectionsCommandParts): Command {
  return output(
    command
      .option('-f, --file <FILE>', 'configuration file (default: sluice.yml, then databricks.yml)')
      .option('--target <NAME>', 'target of the bundle')
      .addOption(new Option('--var <NAME=VALUE>', 'value of a bundle variable; repeatable').argParser(variable))
      .option('--home <FOLDER>', HOME),
  );
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) === 0 || Number(text) > 65535)
    throw new InvalidArgumentError('Give a port from 1 to 65535.');
  return Number(text);
}
