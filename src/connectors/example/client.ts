import {
  didYouMean,
  IngestError,
  type JsonObject,
  type PlainJson,
  type Random,
  type CallContext,
} from '../../sdk/index.ts';
import type {ApiParams, ApiResponse, ExampleApi} from './api.ts';

/** Tries of one call before the framework is asked to try later. */
const ATTEMPTS = 5;
const FIRST_WAIT_MS = 1000;

/** Calls the API and answers its faults: waits and tries again, and turns what remains into errors of ours. */
export class ExampleClient {
  readonly #api: ExampleApi;
  readonly #random: Random;

  constructor(api: ExampleApi, random: Random) {
    this.#api = api;
    this.#random = random;
  }

  /** Names of the tables that the API lists. */
  async tables(ctx: CallContext): Promise<readonly string[]> {
    const {tables} = await this.#get('/tables', {}, ctx);
    return Array.isArray(tables) ? tables.map(String) : [];
  }

  /** Column name, type and nullability as the API says them. @throws UNKNOWN_TABLE */
  async fields(
    table: string,
    ctx: CallContext,
  ): Promise<readonly {readonly name: string; readonly type: string; readonly nullable: boolean}[]> {
    const {fields} = await this.#get(`/tables/${table}/schema`, {}, ctx);
    const list = Array.isArray(fields) ? (fields as readonly {readonly [name: string]: PlainJson}[]) : [];
    return list.map((field) => ({
      name: String(field['name']),
      type: String(field['type']),
      nullable: field['nullable'] === true,
    }));
  }

  /** Key and cursor, where the table has one. @throws UNKNOWN_TABLE */
  async metadata(
    table: string,
    ctx: CallContext,
  ): Promise<{readonly key: string | null; readonly cursor: string | null}> {
    const {primary_key: key = null, cursor = null} = await this.#get(`/tables/${table}/metadata`, {}, ctx);
    return {key: key === null ? null : String(key), cursor: cursor === null ? null : String(cursor)};
  }

  /** One page of rows and the number of the next one. @throws UNKNOWN_TABLE */
  async records(
    path: string,
    params: ApiParams,
    ctx: CallContext,
  ): Promise<{readonly rows: readonly JsonObject[]; readonly nextPage: number | null}> {
    const {records, next_page: nextPage} = await this.#get(path, params, ctx);
    return {
      rows: Array.isArray(records) ? (records as readonly JsonObject[]) : [],
      nextPage: typeof nextPage === 'number' ? nextPage : null,
    };
  }

  async #get(path: string, params: ApiParams, ctx: CallContext): Promise<ApiResponse['body']> {
    for (let attempt = 1; ; attempt++) {
      ctx.signal.throwIfAborted();
      const response = this.#api.get(path, params);
      if (response.status === 200) return response.body;
      if (!RETRIED.has(response.status)) throw await this.#refusal(path, response, ctx);
      if (attempt === ATTEMPTS) throw exhausted(path, response);
      const waitMs = FIRST_WAIT_MS * 2 ** (attempt - 1) * (0.5 + this.#random() / 2);
      ctx.log.debug('The API failed; trying again.', {path, status: response.status, attempt, waitMs});
      await ctx.clock.sleep(waitMs, ctx.signal);
    }
  }

  async #refusal(path: string, response: ApiResponse, ctx: CallContext): Promise<IngestError> {
    const [, , table = ''] = path.split('/');
    if (response.status !== 404 || table === '') {
      return new IngestError('SOURCE_ERROR', `The example API refused ${path} with status ${response.status}.`, {
        class: 'bug',
        context: {path, status: response.status},
      });
    }
    const close = didYouMean(table, await this.tables(ctx));
    return new IngestError('UNKNOWN_TABLE', `The example API has no table "${table}".`, {
      ...(close === null ? {} : {fix: `Did you mean "${close}"?`}),
      context: {table},
    });
  }
}

const RETRIED: ReadonlySet<number> = new Set([429, 500, 503]);

function exhausted(path: string, {status}: ApiResponse): IngestError {
  return new IngestError(
    status === 429 ? 'THROTTLED' : 'SOURCE_ERROR',
    `The example API failed ${ATTEMPTS} times at ${path}, last with status ${status}.`,
    {
      context: {path, status},
    },
  );
}
