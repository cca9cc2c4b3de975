import {interruptible, OK, silently, type CommandContext} from '../command-context.ts';
import {knownConnections} from '../commands/connections.ts';
import type {ConnectionsFlags} from '../connections-program.ts';

/** Serves the connections over standard input and output until the client hangs up. */
export async function mcpCommand(context: CommandContext, flags: ConnectionsFlags): Promise<number> {
  const {serveMcp} = await import('./mcp-server.ts');
  await interruptible(context, silently, (signal) =>
    serveMcp({connections: () => knownConnections(context, flags), signal}),
  );
  return OK;
}
