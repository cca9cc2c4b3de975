import {readFileSync} from 'node:fs';

import {McpServer} from '@modelcontextprotocol/sdk/server/mcp.js';
import {StdioServerTransport} from '@modelcontextprotocol/sdk/server/stdio.js';
import type {CallToolResult} from '@modelcontextprotocol/sdk/types.js';
import {z} from 'zod';

import {LinkedAbort} from '../../core/linked-abort.ts';
import {AGENT_OPERATIONS, type AgentOperation, type AgentParameter} from '../../runtime/agent/agent-operations.ts';
import {
  runAgentOperation,
  type AgentHost,
  type AgentParameters,
  type AgentReply,
} from '../../runtime/agent/run-operation.ts';
import {jsonText} from '../json-text.ts';
import {resultJson} from '../result-text.ts';
import {DrainingTransport} from './draining-transport.ts';

/** Longest answer in characters: an assistant has to read all of it. */
const MAX_TEXT = 200_000;

const INSTRUCTIONS = `Looks at sources through the connections of Sluice; nothing is written anywhere.
Begin with validate_connection without a name to see the connections, then list_objects, get_object_metadata and read_table.
Every answer has _meta with status, code and message.`;

/** Serves the operations over standard input and output; resolves when the client sends no more and has its answers, or the signal aborts. */
export async function serveMcp(host: AgentHost): Promise<void> {
  const server = createMcpServer(host);
  const transport = new DrainingTransport(new StdioServerTransport());
  await new Promise<void>((resolve, reject) => {
    server.server.onclose = resolve;
    // The transport notices the end of its input only by an answer that it cannot write.
    process.stdin.once('end', () => transport.drain());
    host.signal.addEventListener('abort', () => void server.close(), {once: true});
    server.connect(transport).catch(reject);
  });
}

/** A server with a tool per operation, not connected yet. */
export function createMcpServer(host: AgentHost): McpServer {
  const server = new McpServer({name: 'sluice', version: packageVersion()}, {instructions: INSTRUCTIONS});
  for (const operation of AGENT_OPERATIONS) {
    server.registerTool(
      operation.name,
      {
        description: operation.description,
        inputSchema: shapeOf(operation),
        annotations: {readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true},
      },
      async (given: Readonly<Record<string, unknown>>, {signal}): Promise<CallToolResult> => {
        using stop = new LinkedAbort(host.signal);
        signal.addEventListener('abort', () => stop.controller.abort(signal.reason), {once: true});
        const reply = await runAgentOperation(operation.name, parametersOf(given), {...host, signal: stop.signal});
        return toolResult(reply);
      },
    );
  }
  return server;
}

function shapeOf({parameters}: AgentOperation): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, typeOf(parameter)]));
}

function typeOf(parameter: AgentParameter): z.ZodType {
  const base = baseType(parameter).describe(parameter.description);
  if (parameter.default !== undefined) return base.default(parameter.default);
  return parameter.required === true ? base : base.optional();
}

function baseType(parameter: AgentParameter): z.ZodType {
  switch (parameter.type) {
    case 'string':
      return parameter.required === true ? z.string().min(1) : z.string();
    case 'integer':
      return z
        .int()
        .min(parameter.min ?? 0)
        .max(parameter.max ?? Number.MAX_SAFE_INTEGER);
    case 'string[]':
      return z.array(z.string());
    case 'options':
      return z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]));
  }
}

const parametersShape = z.object({
  connection: z.string().optional(),
  path: z.array(z.string()).optional(),
  search: z.string().optional(),
  limit: z.number().optional(),
  name: z.string().optional(),
  metadata_key: z.string().optional(),
  table_name: z.string().optional(),
  schema_name: z.string().optional(),
  catalog_name: z.string().optional(),
  columns: z.array(z.string()).optional(),
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])).optional(),
});

/** The server has checked the values by the operation's shape; here they only get their types. */
function parametersOf(given: Readonly<Record<string, unknown>>): AgentParameters {
  return parametersShape.parse(given);
}

function toolResult(reply: AgentReply): CallToolResult {
  let {rows, truncated} = reply;
  let text = answerText(reply, rows, truncated);
  while (text.length > MAX_TEXT && rows.length > 0) {
    rows = rows.slice(0, Math.floor((rows.length * MAX_TEXT) / text.length / 1.1));
    truncated = true;
    text = answerText(reply, rows, truncated);
  }
  return {
    content: [{type: 'text', text}],
    structuredContent: JSON.parse(text) as Record<string, unknown>,
    ...(reply._meta.status === 'error' ? {isError: true} : {}),
  };
}

function answerText(reply: AgentReply, rows: AgentReply['rows'], truncated: boolean): string {
  const {_meta, types} = reply;
  if (types === undefined) return jsonText({_meta, rows, truncated});
  const shown = resultJson({columns: Object.keys(types), rows, truncated, types: Object.values(types)});
  return jsonText({_meta, ...shown});
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return z.object({version: z.string()}).parse(JSON.parse(text)).version;
}
