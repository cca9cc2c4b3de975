import {Option, type Command} from 'commander';

import type {CommandContext, CommonFlags} from './command-context.ts';

/** Runs a command's work and prints what it throws. */
type Act = <F extends CommonFlags>(
  flags: F,
  work: (context: CommandContext, flags: F) => Promise<number>,
) => Promise<void>;

/** What the commands share with those of the program. */
export interface ConnectorCommandParts {
  readonly act: Act;
  /** Adds the flags of every command that are about output. */
  readonly output: (command: Command) => Command;
  /** Reads a whole number above 0. */
  readonly positive: (text: string) => number;
  /** Gathers a flag that may be repeated. */
  readonly repeated: (value: string, before: readonly string[] | undefined) => readonly string[];
}

const NAME_OR_PATH = 'a folder, a YAML document, or the name of a connector';
const CONNECTION =
  'name of a connection, of the configuration or stored: reads the real source; tokens that rotate are kept';

/** `sluice connector …`: from an empty folder to a connector that others can add. Each is loaded when it runs. */
export function addConnectorCommands(program: Command, parts: ConnectorCommandParts): void {
  const connector = program.command('connector').description('write, try, prove, build and add connectors');
  addWritingCommands(connector, parts);
  addProvingCommands(connector, parts);
  addSharingCommands(connector, parts);
}

function addWritingCommands(connector: Command, {act, output, positive, repeated}: ConnectorCommandParts): void {
  output(
    connector
      .command('new')
      .description('write a folder with a connector that compiles and passes its suites')
      .argument('<NAME>', 'lower case letters, digits, "_"'),
  )
    .addOption(
      new Option(
        '--from <KIND>',
        'what it reads: a REST API declared, or by hand; a database; exported files; a document',
      )
        .choices(['rest', 'sdk', 'database', 'files', 'yaml'] as const)
        .default('rest'),
    )
    .option('--folder <FOLDER>', 'where (default: ./NAME)')
    .action((name: string, flags) =>
      act(flags, async (context) =>
        (await import('./commands/connector-new.ts')).connectorNewCommand(context, name, flags),
      ),
    );
  output(
    connector
      .command('dev')
      .description('show tables, columns and first rows, again whenever a file of the connector changes')
      .argument('<NAME|PATH>', NAME_OR_PATH),
  )
    .addOption(new Option('--table <NAME>', 'only this table; repeatable').argParser(repeated))
    .option('--limit <N>', 'rows of each table (default: 5)', positive)
    .addOption(
      new Option(
        '--credentials <FILE>',
        'options of a connection as JSON: reads the real source instead of the simulator',
      ).conflicts('connection'),
    )
    .option('--connection <NAME>', CONNECTION)
    .option('--config <FILE>', 'options by table as JSON (default: dev_table_config.json beside the connector)')
    .option('--once', 'show once and end; exit status 1 when there are problems')
    .action((name: string, flags) =>
      act(flags, async (context) =>
        (await import('./commands/connector-dev.ts')).connectorDevCommand(context, name, flags),
      ),
    );
  output(
    connector
      .command('docs')
      .description('write the tables of options and fields into README.md, between its markers')
      .argument('<NAME|PATH>', NAME_OR_PATH),
  )
    .option('--check', 'write nothing; exit status 1 when the file is out of date')
    .option('--file <FILE>', 'the document (default: README.md beside the connector)')
    .action((name: string, flags) =>
      act(flags, async (context) =>
        (await import('./commands/connector-docs.ts')).connectorDocsCommand(context, name, flags),
      ),
    );
}

function addProvingCommands(connector: Command, {act, output, positive, repeated}: ConnectorCommandParts): void {
  output(
    connector
      .command('test')
      .description('prove that a connector keeps its contract; exit status 1 when it does not')
      .argument('<NAME|PATH>', NAME_OR_PATH),
  )
    .addOption(
      new Option('--credentials <FILE>', 'options of a connection as JSON: proves against the real source').conflicts([
        'simulator',
        'connection',
      ]),
    )
    .addOption(new Option('--connection <NAME>', CONNECTION).conflicts('simulator'))
    .option('--simulator', 'prove against the simulator (the default)')
    .option('--config <FILE>', 'options by table as JSON (default: dev_table_config.json beside the connector)')
    .addOption(
      new Option('--suite <NAME>', 'only this suite (default: all that apply)').choices([
        'generic',
        'writeback',
        'partition',
        'faults',
      ] as const),
    )
    .addOption(new Option('--table <NAME>', 'only this table; repeatable').argParser(repeated))
    .option('--seed <N>', 'for the data and everything that is sampled (default: 1)', positive)
    .option('--full', 'sample nothing: faults and kills at every page of every table')
    .option('--trace <FILE>', 'write all exchanges with the source into a HAR file, secrets removed')
    .action((name: string, flags) =>
      act(flags, async (context) =>
        (await import('./commands/connector-test.ts')).connectorTestCommand(context, name, flags),
      ),
    );
}

function addSharingCommands(connector: Command, {act, output}: ConnectorCommandParts): void {
  const share = () => import('./commands/connector-share.ts');
  const added = () => import('./commands/connector-add.ts');
  output(
    connector
      .command('build')
      .description('put a connector into one file, with a manifest')
      .argument('<PATH>', 'folder or YAML document'),
  )
    .option('--out <FOLDER>', 'where (default: dist/NAME in the connector’s folder)')
    .action((path: string, flags) =>
      act(flags, async (context) => (await share()).connectorBuildCommand(context, path, flags)),
    );
  output(
    connector
      .command('publish')
      .description('prove, build and pack a connector, and write its entry of a registry index')
      .argument('<PATH>', 'folder or YAML document'),
  )
    .option('--index <FILE>', 'the index (default: registry.json)')
    .addOption(
      new Option('--maturity <LEVEL>', 'what users may expect')
        .choices(['alpha', 'beta', 'stable'] as const)
        .default('alpha'),
    )
    .option('--owner <NAME>', 'who answers for it (default: author of package.json)')
    .option('--out <FOLDER>', 'where the package goes (default: beside the index)')
    .action((path: string, flags) =>
      act(flags, async (context) => (await share()).connectorPublishCommand(context, path, flags)),
    );
  output(
    connector
      .command('add')
      .description('use a connector of others in this project; without SOURCE: fetch those that are listed')
      .argument('[SOURCE]', 'path, installed npm package, git+URL, or URL of a built file'),
  )
    .option('--sha256 <HASH>', 'what the code must hash to; needed for a URL')
    .option('--ref <COMMIT>', 'full commit id; needed for Git')
    .option('--folder <FOLDER>', 'folder of the connector in a Git repository')
    .option('--name <NAME>', 'name in this project (default: its own)')
    .action((source: string | undefined, flags) =>
      act(flags, async (context) => (await added()).connectorAddCommand(context, source, flags)),
    );
  output(connector.command('list').description('list the connectors of Sluice, of this project and of an index'))
    .option('--index <FILE>', 'a registry index (default: registry.json, if it is there)')
    .action((flags) => act(flags, async (context) => (await added()).connectorListCommand(context, flags)));
}
