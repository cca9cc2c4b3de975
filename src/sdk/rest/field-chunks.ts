import {IngestError} from '../../core/errors.ts';
import {stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {isJsonObject, pathReader, valueAt, withValueAt} from '../json-path.ts';
import {fetchPage, type ListEnv} from './fetch-page.ts';
import type {Pager, TakenPage} from './pager.ts';
import type {FieldChunks, Listing, PageReply, RequestScope} from './rest-request.ts';

const ATTEMPTS = 5;
const RETRY_MS = 500;

/** The fields of each request; one empty chunk when there are none. */
export function chunksOf(
  {fields, maxBytes, maxCount}: FieldChunks,
  scope: RequestScope,
): readonly (readonly string[])[] {
  const all = typeof fields === 'function' ? fields(scope) : fields;
  const chunks: string[][] = [];
  let chunk: string[] = [];
  let bytes = 0;
  for (const field of all) {
    const size = Buffer.byteLength(field) + 1;
    if (chunk.length > 0 && (chunk.length >= (maxCount ?? Infinity) || bytes + size > (maxBytes ?? Infinity))) {
      chunks.push(chunk);
      [chunk, bytes] = [[], 0];
    }
    chunk.push(field);
    bytes += size;
  }
  chunks.push(chunk);
  return chunks;
}

/** One page of a listing whose fields come in several requests. */
export interface ChunkedPage {
  readonly env: ListEnv;
  readonly listing: Listing;
  readonly chunks: FieldChunks;
  /** One for each chunk. */
  readonly pagers: readonly Pager[];
  readonly isFirst: boolean;
}

/**
 * Fetches the page of every chunk and merges its records by key; null when there are none here. A page whose chunks do not agree,
 * because a record came, went or changed in between, is asked for again.
 * @throws SOURCE_ERROR when they never agree.
 */
export async function mergeChunks(page: ChunkedPage): Promise<(TakenPage & {readonly reply: PageReply}) | null> {
  const {env, listing, chunks, pagers} = page;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const replies = await Promise.all(pagers.map((pager) => fetchPage(env, listing, pager, page.isFirst)));
    const [first] = replies;
    if (first === null || first === undefined) return null;
    const records = merged(chunks, replies);
    if (records !== null) {
      const taken = pagers.map((pager, index) => pager.take({...first, ...replies[index], records}));
      return {...(taken[0] ?? {records, more: false}), reply: first};
    }
    await env.ctx.clock.sleep(RETRY_MS * attempt, env.ctx.signal);
  }
  throw new IngestError(
    'SOURCE_ERROR',
    `Table "${env.table}": its records change faster than their fields can be read.`,
    {
      class: 'transient',
      fix: 'Run again later, or read fewer fields.',
      context: {table: env.table},
    },
  );
}

/** The merged records in the order of the first chunk; null when the chunks do not hold the same records. */
function merged(chunks: FieldChunks, replies: readonly (PageReply | null)[]): readonly JsonObject[] | null {
  const [key, version] = [pathReader(chunks.key), chunks.version === undefined ? null : pathReader(chunks.version)];
  const [first, ...others] = replies;
  const byKey = new Map<string, JsonObject>();
  for (const record of first?.records ?? []) byKey.set(textOf(key(record)), record);
  for (const reply of others) {
    if (reply?.records.length !== first?.records.length) return null;
    for (const record of reply?.records ?? []) {
      const id = textOf(key(record));
      const known = byKey.get(id);
      if (known === undefined) return null;
      if (version !== null && textOf(version(known)) !== textOf(version(record))) return null;
      byKey.set(id, mergedRecord(chunks, known, record));
    }
  }
  return [...byKey.values()];
}

function mergedRecord({merge}: FieldChunks, known: JsonObject, record: JsonObject): JsonObject {
  if (merge === undefined) return {...known, ...record};
  const [left, right] = [valueAt(known, merge), valueAt(record, merge)];
  return withValueAt(known, merge, {...(isJsonObject(left) ? left : {}), ...(isJsonObject(right) ? right : {})});
}

function textOf(value: JsonValue | undefined): string {
  return value === undefined ? '' : stringifyJson(value);
}
