import type {Command} from 'commander';

import type {CommandContext, CommonFlags, ConfigFlags} from './command-context.ts';

/** What these commands share with those of the program. */
export interface GatewayCommandParts {
  readonly act: <F extends CommonFlags>(
    flags: F,
    work: (context: CommandContext, flags: F) => Promise<number>,
  ) => Promise<void>;
  /** Adds the flags of commands that read a configuration, and `--file`. */
  readonly named: (command: Command) => Command;
}

const KEY = 'key of a gateway, or of a pipeline with connector_type CDC (default: the only one)';

/** `sluice gateway …` and `sluice staging …`. Each is loaded when it runs. */
export function addGatewayCommands(program: Command, {act, named}: GatewayCommandParts): void {
  const commands = () => import('./commands/gateway.ts');
  const gateway = program.command('gateway').description('follow the logs of databases into staging');
  const add = (
    parent: Command,
    name: string,
    description: string,
    run: (context: CommandContext, key: string | undefined, flags: ConfigFlags) => Promise<number>,
  ): Command =>
    named(parent.command(name).description(description).argument('[GATEWAY]', KEY)).action(
      (key: string | undefined, flags: ConfigFlags) => act(flags, (context) => run(context, key, flags)),
    );
  add(gateway, 'run', 'run a gateway until it is stopped', async (...call) =>
    (await commands()).gatewayRunCommand(...call),
  );
  add(
    gateway,
    'check',
    'say whether the tables of a gateway can be followed; exit status 1 when one cannot',
    async (...call) => (await commands()).gatewayCheckCommand(...call),
  );
  add(gateway, 'status', 'show how far a gateway is, table by table', async (...call) =>
    (await commands()).gatewayStatusCommand(...call),
  );
  add(
    gateway,
    'remove',
    'remove what a gateway made at the source (slot, publication) and its staging; tables of the lake stay',
    async (...call) => (await commands()).gatewayRemoveCommand(...call),
  );
  const staging = program.command('staging').description('look into what gateways staged');
  add(staging, 'ls', 'list segments and snapshots', async (...call) => (await commands()).stagingListCommand(...call));
  add(
    staging,
    'inspect',
    'read every file and say what is damaged, who reads which table and how far; exit status 1 for damage',
    async (...call) => (await commands()).stagingInspectCommand(...call),
  );
  add(staging, 'purge', 'delete what all pipelines have applied, whatever its age', async (...call) =>
    (await commands()).stagingPurgeCommand(...call),
  );
}
