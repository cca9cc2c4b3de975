import {Buffer} from 'node:buffer';

import {zipSync} from 'fflate';
import {describe, expect, it} from 'vitest';

import type {JsonObject} from '../../core/json-value.ts';
import {decodeBody} from './body-decoders.ts';
import type {Decoder} from './rest-request.ts';

async function recordsOf(decoder: Decoder, bytes: Uint8Array): Promise<readonly JsonObject[]> {
  const body = (async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(bytes);
  })();
  const records: JsonObject[] = [];
  for await (const piece of decodeBody(decoder, body, '')) records.push(...piece);
  return records;
}

describe('answers of another form than declared are errors, never empty tables', () => {
  it('an archive whose files all have other names', async () => {
    const zip: Decoder = {kind: 'zip', inner: {kind: 'ndjson'}, suffix: '.jsonl'};
    const line = Buffer.from('{"id":1}\n');
    expect(await recordsOf(zip, zipSync({'a.jsonl': line, 'readme.txt': line}))).toEqual([{id: 1}]);
    expect(await recordsOf(zip, zipSync({}))).toEqual([]);
    await expect(recordsOf(zip, zipSync({'a.json': line, 'b.txt': line}))).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
    });
  });

  it('JSON, HTML or XML where CSV should be', async () => {
    const csv: Decoder = {kind: 'csv'};
    expect(await recordsOf(csv, Buffer.from('id,name\n'))).toEqual([]);
    for (const text of ['{"error": "internal"}', '[]', '<html></html>'])
      await expect(recordsOf(csv, Buffer.from(text))).rejects.toMatchObject({code: 'SOURCE_ERROR'});
  });
});
