import {readFileSync} from 'node:fs';

import {McpServer} from '@modelcontextprotocol/sdk/server/mcp.js';
import {StdioServerTransport} from '@modelcontextprotocol/sdk/server/stdio.js';
import {CallToolRequestSchema, ErrorCode, McpError, type CallToolResult} from '@modelcontextprotocol/sdk/types.js';
import {z} from 'zod';

import {LinkedAbort} from '../../core/linked-abort.ts';
import {AGENT_OPERATIONS, type AgentOperation, type AgentParameter} from '../../runtime/agent/agent-operations.ts';
import {
  runAgentOperation,
  type AgentHost,
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
      (given, {signal}) => answer(operation, given, signal, host),
    );
  }
  // Its own handler answers parameters that do not fit with a text of the validator, without _meta.
  server.server.setRequestHandler(CallToolRequestSchema, ({params}, {signal}) => {
    const operation = AGENT_OPERATIONS.find(({name}) => name === params.name);
    if (operation === undefined) throw new McpError(ErrorCode.InvalidParams, `There is no tool ${params.name}`);
    return answer(operation, params.arguments ?? {}, signal, host);
  });
  return server;
}

async function answer(
  operation: AgentOperation,
  given: unknown,
  signal: AbortSignal,
  host: AgentHost,
): Promise<CallToolResult> {
  const checked = shapeOf(operation).safeParse(given);
  if (!checked.success) return toolResult(refusedParameters(operation, checked.error));
  using stop = new LinkedAbort(host.signal);
  signal.addEventListener('abort', () => stop.controller.abort(signal.reason), {once: true});
  const parameters = parametersShape.parse(checked.data);
  return toolResult(await runAgentOperation(operation.name, parameters, {...host, signal: stop.signal}));
}

function refusedParameters({name, parameters}: AgentOperation, error: z.ZodError): AgentReply {
  const problems = error.issues.map(({path, message}) => [path.join('.'), message].filter(Boolean).join(': '));
  const known = Object.keys(parameters);
  const message = `${name} takes ${known.length === 0 ? 'no parameters' : known.join(', ')}. ${problems.join('; ')}.`;
  return {_meta: {status: 'error', code: 'bad_request', message}, rows: [], truncated: false};
}

/** The parameters of an operation; one that it does not know is a misspelt one. */
function shapeOf({parameters}: AgentOperation): z.ZodObject {
  return z.strictObject(
    Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, typeOf(parameter)])),
  );
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

/** Parameters that fit their operation get their types by this. */
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
  const {_meta, columns} = reply;
  if (columns === undefined) return jsonText({_meta, rows, truncated});
  const names = columns.map(({name}) => name);
  const shown = resultJson({columns: names, rows, truncated, types: columns.map(({engineType}) => engineType)});
  return jsonText({_meta, ...shown, types: columns.map(({type}) => type)});
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return z.object({version: z.string()}).parse(JSON.parse(text)).version;
}
