import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {CallContext} from '../sdk/contract.ts';
import type {ConnectorDefinition, CreateContext} from '../sdk/define-connector.ts';
import type {HttpClient, HttpRequest} from '../sdk/http/http-client.ts';
import type {ProofApi} from './connector-proof.ts';

/** A {@link ProofApi} that opens its client with the first request; disposing closes it. */
export interface OpenProofApi extends ProofApi, AsyncDisposable {}

/** Reaches a source by the client of its connector. `seed` is part of all marks. */
export function proofApi(
  definition: ConnectorDefinition,
  {create, context, seed}: {readonly create: CreateContext; readonly context: CallContext; readonly seed: number},
): OpenProofApi {
  let client: HttpClient | null = null;
  const answer = async (request: HttpRequest): Promise<JsonValue> => {
    client ??= definition.client?.(create) ?? null;
    if (client === null) throw new Error('The definition of this connector opens no HTTP client.');
    return (await client.json({about: 'a write of the proof', ...request}, context)).body;
  };
  return {
    options: create.options,
    mark: () => `sluice-test-${seed}-${create.clock.nowMs().toString(36)}-${(marks++).toString(36)}`,
    async send(request) {
      const body = await answer(request);
      return isObject(body) ? body : {};
    },
    async list(request) {
      const body = await answer(request);
      return Array.isArray(body) ? body : [];
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await client?.[Symbol.asyncDispose]();
    },
  };
}

let marks = 0;

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
