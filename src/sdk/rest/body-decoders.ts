import {IngestError} from '../../core/errors.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {gunzipped, unzipped} from '../decode/archives.ts';
import {csvRecords} from '../decode/csv-records.ts';
import {jsonItems} from '../decode/json-items.ts';
import {ndjson} from '../decode/ndjson.ts';
import {xmlRecords} from '../decode/xml-records.ts';
import {isJsonObject} from '../json-path.ts';
import type {Decoder} from './rest-request.ts';

/** Decodes a body piece by piece into lists of records; `path` is where the list is in a JSON body. @throws SOURCE_ERROR for a body that is broken. */
export async function* decodeBody(
  decoder: Decoder,
  body: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<readonly JsonObject[], void> {
  switch (decoder.kind) {
    case 'ndjson':
      for await (const values of ndjson(body)) yield objects(values);
      return;
    case 'csv': {
      const {kind: _, ...form} = decoder;
      yield* csvRecords(body, form);
      return;
    }
    case 'json':
    case 'jsonItems':
      for await (const values of jsonItems(body, path)) yield objects(values);
      return;
    case 'xml': {
      const {kind: _, ...form} = decoder;
      yield* xmlRecords(body, form);
      return;
    }
    case 'gzip':
      yield* decodeBody(decoder.inner, gunzipped(body), path);
      return;
    case 'zip': {
      const {inner, suffix = ''} = decoder;
      let [files, read] = [0, 0];
      const matches = (name: string): boolean => ++files > 0 && name.endsWith(suffix);
      for await (const file of unzipped(body, matches)) {
        read++;
        yield* decodeBody(inner, file.body, path);
      }
      if (files > 0 && read === 0) throw noneMatches(files, suffix);
      return;
    }
  }
}

/** An archive of other files is another answer than the one that was asked for: no table is empty for it. */
function noneMatches(files: number, suffix: string): IngestError {
  return new IngestError('SOURCE_ERROR', `None of the ${files} files of the ZIP answer ends with "${suffix}".`, {
    class: 'config',
    fix: 'Correct the suffix of the decoder.',
    context: {suffix},
  });
}

function objects(values: readonly JsonValue[]): readonly JsonObject[] {
  return values.every(isJsonObject) ? values : values.map((value) => (isJsonObject(value) ? value : {value}));
}
