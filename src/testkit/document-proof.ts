import {z} from 'zod';

import {IngestError} from '../core/errors.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {ConnectorDefinition} from '../sdk/define-connector.ts';
import type {HttpBody} from '../sdk/http/http-client.ts';
import {parseRestDocument} from '../sdk/rest/rest-document.ts';
import {parseSimulatorDocument, simulate} from '../simulator/index.ts';
import type {ConnectorProof, ProofTable, ProofWrites} from './connector-proof.ts';
import {collectionTable, simulatedSource} from './simulated-source.ts';

/** The documents of a connector without code, as plain values of YAML or JSON. */
export interface ProofDocuments {
  /** The connector: a document, or what was made of one. */
  readonly connector: ConnectorDefinition | {readonly document: unknown; readonly where: string};
  /** The simulator: see `docs/simulator.md`. */
  readonly simulator: unknown;
  /** How they belong together: see `docs/testing-connectors.md`. */
  readonly proof: unknown;
}

/**
 * Makes a proof of documents alone, so that a connector without code runs every suite.
 * @param where names the proof's document in messages.
 * @throws INVALID_SPEC naming the place.
 */
export function restDocumentProof(documents: ProofDocuments, where: string): ConnectorProof {
  const proof = checked(documents.proof, where);
  const simulator = parseSimulatorDocument(documents.simulator, `${where}: simulator`);
  const {connector} = documents;
  const tables = Object.entries(proof.tables).map(([name, table]) => [name, tableOf(table)] as const);
  return {
    definition: 'document' in connector ? parseRestDocument(connector.document, connector.where) : connector,
    async start({seed}) {
      const running = await simulate(simulator, {seed});
      const options = Object.entries(proof.connection).map(
        ([name, value]) => [name, typeof value === 'string' ? value.replaceAll('{url}', running.url) : value] as const,
      );
      return simulatedSource(running, {
        connectionOptions: Object.fromEntries(options),
        ...(proof.wrong_credentials === undefined ? {} : {wrongCredentials: proof.wrong_credentials}),
        withoutFaults: proof.without_faults ?? [],
      });
    },
    tables: Object.fromEntries(tables),
    exclude: proof.exclude ?? {},
  };
}

const optionSchema = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);
const optionsSchema = z.record(z.string(), optionSchema);
const rowSchema = z.record(z.string(), z.json());

/** Endpoints that write: rows are created at the path, changed and deleted behind it, by what `create` and `change` say. */
const writesSchema = z.strictObject({
  path: z.string(),
  /** Field with the row's key, in rows and answers. */
  key: z.string().default('id'),
  /** Field of bodies and answers that holds the row. */
  wrap: z.string().exactOptional(),
  change_method: z.enum(['PATCH', 'PUT']).default('PATCH'),
  deletes: z.boolean().default(true),
});

const tableSchema = z.strictObject({
  /** The collection of the simulator with its rows. */
  collection: z.string(),
  paging_style: z.string().default('none'),
  page_size: z.int().min(1).exactOptional(),
  /** Fields of a new row; `{n}` differs for each, alone it is a number. */
  create: rowSchema.exactOptional(),
  /** Fields that an update sets. */
  change: rowSchema.exactOptional(),
  deletes: z.boolean().default(true),
  recreates: z.boolean().default(false),
  /** Fields of a record that an object holds: they are lifted to the record itself. */
  lift: z.array(z.string()).default([]),
  options: optionsSchema.exactOptional(),
  tracks_deletes: z.boolean().exactOptional(),
  key_scan: z.boolean().default(false),
  visible_after_ms: z.int().min(0).exactOptional(),
  skew_ms: z.int().min(0).exactOptional(),
  is_partitioned: z.boolean().exactOptional(),
  unfilled: z.record(z.string(), z.string()).exactOptional(),
  writes: writesSchema.exactOptional(),
});

const proofSchema = z.strictObject({
  /** Used by whoever reads the file: the simulator's document, or the name of its file. */
  simulator: z.unknown().optional(),
  connection: optionsSchema,
  wrong_credentials: optionsSchema.exactOptional(),
  without_faults: z.array(z.string()).exactOptional(),
  tables: z.record(z.string(), tableSchema),
  exclude: z.record(z.string(), z.string()).exactOptional(),
});

type TableDocument = z.infer<typeof tableSchema>;

function tableOf(table: TableDocument): ProofTable {
  const {create, change, lift} = table;
  return collectionTable({
    collection: table.collection,
    pagingStyle: table.paging_style,
    deletes: table.deletes,
    recreates: table.recreates,
    ...(table.page_size === undefined ? {} : {pageSize: table.page_size}),
    ...(create === undefined ? {} : {create: (n: number) => filled(create, n)}),
    ...(change === undefined ? {} : {change: (n: number) => filled(change, n)}),
    ...(lift.length === 0 ? {} : {record: (row: JsonObject) => lifted(row, lift)}),
    table: {
      ...(table.options === undefined ? {} : {options: table.options}),
      ...(table.key_scan ? {configuration: {hardDeletionSyncMinIntervalSeconds: 0}} : {}),
      ...(table.tracks_deletes === undefined ? {} : {tracksDeletes: table.tracks_deletes}),
      ...(table.visible_after_ms === undefined ? {} : {visibleAfterMs: table.visible_after_ms}),
      ...(table.skew_ms === undefined ? {} : {skewMs: table.skew_ms}),
      ...(table.is_partitioned === undefined ? {} : {isPartitioned: table.is_partitioned}),
      ...(table.unfilled === undefined ? {} : {unfilled: table.unfilled}),
      ...(table.writes === undefined ? {} : {writes: writesOf(table.writes, {create, change})}),
    },
  });
}

type RowTemplate = z.infer<typeof rowSchema>;

function writesOf(
  {path, key, wrap, change_method: method, deletes}: z.infer<typeof writesSchema>,
  {create, change}: {readonly create?: RowTemplate | undefined; readonly change?: RowTemplate | undefined},
): ProofWrites {
  const wrapped = (row: JsonObject): HttpBody => ({kind: 'json', value: wrap === undefined ? row : {[wrap]: row}});
  const one = (row: JsonObject): string => `${path}/${encodeURIComponent(String(row[key]))}`;
  return {
    ...(create === undefined
      ? {}
      : {
          async insert({clock}, api) {
            const row = filled(create, Math.floor(clock.nowMs() / 1000) + written++);
            const answer = await api.send({method: 'POST', url: path, body: wrapped(row)});
            const made = wrap === undefined ? answer : answer[wrap];
            const answered = isObject(made) ? made[key] : undefined;
            return {...row, ...(answered === undefined ? {} : {[key]: answered})};
          },
        }),
    ...(change === undefined
      ? {}
      : {
          async update({clock}, row, api) {
            const fields = filled(change, Math.floor(clock.nowMs() / 1000) + written++);
            await api.send({method, url: one(row), body: wrapped(fields)});
            return fields;
          },
        }),
    ...(deletes
      ? {
          async delete(_, row, api) {
            await api.send({method: 'DELETE', url: one(row)});
          },
        }
      : {}),
  };
}

let written = 0;

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A row of a template: `{n}` in texts is the number. */
function filled(template: Readonly<Record<string, z.infer<ReturnType<typeof z.json>>>>, n: number): JsonObject {
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, filledValue(value, n)]));
}

function filledValue(value: z.infer<ReturnType<typeof z.json>>, n: number): JsonValue {
  if (typeof value === 'string') return value === '{n}' ? n : value.replaceAll('{n}', String(n));
  if (Array.isArray(value)) return value.map((each) => filledValue(each, n));
  return typeof value === 'object' && value !== null ? filled(value, n) : value;
}

function lifted(row: JsonObject, names: readonly string[]): JsonObject {
  let made: JsonObject = row;
  for (const name of names) {
    const inner = row[name];
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner))
      made = {...made, ...(inner as JsonObject)};
  }
  return made;
}

function checked(value: unknown, where: string): z.infer<typeof proofSchema> {
  const result = proofSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = [where, ...(issue?.path ?? [])].join('.');
  throw new IngestError('INVALID_SPEC', `${path}: ${issue?.message ?? 'this is no proof'}.`, {
    fix: 'The names of a proof are in docs/testing-connectors.md.',
    context: {path},
  });
}
