import {Buffer} from 'node:buffer';
import {gzipSync} from 'node:zlib';

import fc from 'fast-check';
import {zipSync} from 'fflate';
import {describe, expect, it} from 'vitest';

import {parseJson, stringifyJson} from '../../core/json-reader.ts';
import type {JsonValue} from '../../core/json-value.ts';
import {gunzipped, unzipped} from './archives.ts';
import {bodyText, charsetOf} from './body-text.ts';
import {csvRecords} from './csv-records.ts';
import {jsonItems} from './json-items.ts';
import {ndjson} from './ndjson.ts';
import {xmlRecords} from './xml-records.ts';

async function* inPieces(body: string | Uint8Array, sizes: readonly number[] = [7]): AsyncGenerator<Uint8Array> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  for (let start = 0, piece = 0; start < bytes.length; piece++) {
    const size = Math.max(1, sizes[piece % sizes.length] ?? 1);
    yield await Promise.resolve(bytes.subarray(start, start + size));
    start += size;
  }
}

async function all<T>(batches: AsyncIterable<readonly T[]>): Promise<T[]> {
  const items: T[] = [];
  for await (const batch of batches) items.push(...batch);
  return items;
}

async function itemsOf(
  body: string,
  path: string,
  sizes?: readonly number[],
): Promise<{items: JsonValue[]; rest: JsonValue}> {
  const reader = jsonItems(inPieces(body, sizes), path);
  const items: JsonValue[] = [];
  for (;;) {
    const step = await reader.next();
    if (step.done === true) return {items, rest: step.value};
    items.push(...step.value);
  }
}

const json = fc.letrec<{value: JsonValue}>((tie) => ({
  value: fc.oneof(
    {maxDepth: 3},
    fc.constantFrom<JsonValue>(null, true, false, 9007199254740993n, 1.5, -0.25, 12),
    fc.string({unit: 'grapheme'}),
    fc.constantFrom('"', '\\', '[', '}', '\\"', 'a,b', 'items', '\u2028'),
    fc.array(tie('value'), {maxLength: 4}),
    fc.dictionary(fc.constantFrom('a', 'items', 'data', '"', 'k\\'), tie('value'), {maxKeys: 3}),
  ),
})).value;

describe('jsonItems', () => {
  it('gives what parseJson gives, under any cut of the body', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(json, {maxLength: 6}),
        json,
        fc.array(fc.integer({min: 1, max: 40}), {minLength: 1, maxLength: 5}),
        fc.constantFrom('', ' ', '\n  '),
        async (items, sibling, sizes, blank) => {
          const list = `[${blank}${items.map(stringifyJson).join(`${blank},${blank}`)}${blank}]`;
          const around = `{"before"${blank}: ${stringifyJson(sibling)}, "data":${blank}{"x": ${stringifyJson(sibling)}, "items" :${list}}, "after": ${stringifyJson(sibling)}}`;
          const whole = parseJson(around) as {data: {items: JsonValue; x: JsonValue}};
          const read = await itemsOf(around, 'data.items', sizes);
          expect(read.items).toEqual(whole.data.items);
          expect(read.rest).toEqual({...whole, data: {...whole.data, items: []}});
          expect((await itemsOf(list, '', sizes)).items).toEqual(parseJson(list));
        },
      ),
      {numRuns: 150},
    );
  });

  it('is not led astray by names in strings, in lists or at other depths', async () => {
    const tricky =
      '{"x": "items", "y": ["items", [1]], "items2": [2], "z": {"items": [3]}, "it\\u0065ms": [4, "]", {"items": []}]}';
    expect((await itemsOf(tricky, 'items', [3])).items).toEqual([4, ']', {items: []}]);
  });

  it('takes null for an empty list and fails where there is none', async () => {
    expect((await itemsOf('{"items": null}', 'items')).items).toEqual([]);
    await expect(itemsOf('{"rows": []}', 'items')).rejects.toMatchObject({code: 'SOURCE_ERROR', class: 'config'});
    await expect(itemsOf('{"items": {"a": 1}}', 'items')).rejects.toMatchObject({code: 'SOURCE_ERROR'});
  });

  it.each([
    '',
    '{"items": [1, 2',
    '{"items": [1, {"a": "x',
    '{"items": [1, 2]',
    '{"items": [1,]}',
    '{"items": [,1]}',
    '{"items": [1 2]}',
  ])('fails on the body %j that breaks off or is no JSON', async (body) => {
    await expect(itemsOf(body, 'items')).rejects.toMatchObject({code: 'SOURCE_ERROR'});
  });

  it('holds a piece at a time of a large body', async () => {
    const item = `{"id": 1, "text": "${'x'.repeat(200)}"}`;
    async function* large(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{"items": [');
      const piece = Buffer.from(`${item},`.repeat(250));
      for (let index = 0; index < 400; index++) yield await Promise.resolve(piece);
      yield Buffer.from(`${item}]}`);
    }
    let count = 0;
    let largest = 0;
    for await (const items of jsonItems(large(), 'items')) {
      count += items.length;
      largest = Math.max(largest, items.length);
    }
    expect(count).toBe(100_001);
    expect(largest).toBeLessThanOrEqual(251);
  });
});

describe('ndjson', () => {
  it('reads a value per line, whatever the pieces, and leaves blank lines out', async () => {
    const body = '{"a": 1}\r\n\n{"b": "é"}\n9007199254740993';
    for (const size of [1, 3, 100]) {
      expect(await all(ndjson(inPieces(body, [size])))).toEqual([{a: 1}, {b: 'é'}, 9007199254740993n]);
    }
  });

  it('names the line that is no JSON', async () => {
    await expect(all(ndjson(inPieces('{"a": 1}\n\n{"b": 2}\n{"c": ')))).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
      message: 'Line 4 of the answer is not valid JSON.',
    });
    await expect(all(ndjson(inPieces('1,2\n3')))).rejects.toMatchObject({context: {line: 1}});
  });
});

describe('csvRecords', () => {
  it('tells null from the empty text and keeps line ends in quotes', async () => {
    const body = '\uFEFFid,name,note\n1,,""\n2,"a ""b""","x\ny"\n';
    expect(await all(csvRecords(inPieces(body, [4])))).toEqual([
      {id: '1', name: null, note: ''},
      {id: '2', name: 'a "b"', note: 'x\ny'},
    ]);
  });

  it('takes names, delimiter, null text and charset as told', async () => {
    const latin1 = Buffer.from('1;é\n\\N;"\\N"\n', 'latin1');
    const form = {columns: ['id', 'name'], delimiter: ';', nullText: '\\N', charset: 'iso-8859-1'};
    expect(await all(csvRecords(inPieces(latin1), form))).toEqual([
      {id: '1', name: 'é'},
      {id: null, name: '\\N'},
    ]);
  });

  it.each(['a,b\n1\n', 'a,b\n1,"x', 'a,a\n1,2\n'])('fails on the body %j and shows none of it', async (body) => {
    await expect(all(csvRecords(inPieces(body)))).rejects.toMatchObject({code: 'SOURCE_ERROR'});
  });
});

describe('csvRecords, malformed', () => {
  it('names the line and shows no cell', async () => {
    for (const body of ['a,b\n1,secret"2"\n', 'a,b\n1,"secret"2\n', 'a,b\n1,secret,3\n', 'a,b\n1,"secret']) {
      const error: unknown = await all(csvRecords(inPieces(body))).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({code: 'SOURCE_ERROR'});
      expect(String(error)).not.toContain('secret');
    }
  });
});

describe('xmlRecords', () => {
  const body = `<?xml version="1.0"?>
    <wd:Report_Data xmlns:wd="urn:x"><other><wd:Entry><wd:id>0</wd:id></wd:Entry></other>
    <wd:Entry a="1"><wd:id>7</wd:id><wd:tag>x</wd:tag><wd:tag>y &amp; z</wd:tag><wd:one>1</wd:one><wd:none/><wd:null xsi:nil="true"/></wd:Entry>
    <wd:Entry><wd:id><![CDATA[<8>]]></wd:id><wd:ref type="t">text</wd:ref></wd:Entry></wd:Report_Data>`;

  it('makes a record of every element, whatever the pieces', async () => {
    for (const size of [1, 13, 10_000]) {
      const form = {element: 'Report_Data/Entry', lists: ['one']};
      expect(await all(xmlRecords(inPieces(body, [size]), form))).toEqual([
        {'@a': '1', 'wd:id': '7', 'wd:tag': ['x', 'y & z'], 'wd:one': ['1'], 'wd:none': '', 'wd:null': null},
        {'wd:id': '<8>', 'wd:ref': {'@type': 't', '#text': 'text'}},
      ]);
    }
    expect(await all(xmlRecords(inPieces(body), {element: 'wd:Entry'}))).toHaveLength(3);
  });

  it('tells a list without records from another document', async () => {
    const none = '<feed><title>t</title><entries/></feed>';
    const other = '<error><message>secret</message></error>';
    const forms = [
      {element: 'entries/entry'},
      {element: 'entry', container: 'feed/entries'},
      {element: 'entry', container: 'feed'},
    ];
    for (const form of forms) {
      expect(await all(xmlRecords(inPieces(none, [3]), form))).toEqual([]);
      const error: unknown = await all(xmlRecords(inPieces(other), form)).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({code: 'SOURCE_ERROR'});
      expect(String(error)).not.toContain('secret');
    }
    await expect(all(xmlRecords(inPieces(none), {element: 'entry'}))).rejects.toMatchObject({code: 'SOURCE_ERROR'});
  });

  it('fails when the body breaks off', async () => {
    await expect(all(xmlRecords(inPieces(body.slice(0, -20)), {element: 'Entry'}))).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
    });
  });
});

describe('archives', () => {
  const text = '{"a": 1}\n'.repeat(5000);

  it('undo gzip in pieces and fail when it breaks off', async () => {
    const bytes = gzipSync(text);
    expect(await all(ndjson(gunzipped(inPieces(bytes, [1000]))))).toHaveLength(5000);
    await expect(all(ndjson(gunzipped(inPieces(bytes.subarray(0, -12)))))).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
    });
  });

  it('give the files of a ZIP one after the other', async () => {
    const bytes = zipSync({
      'a.json': Buffer.from(text),
      'skip.txt': Buffer.from('no'),
      'b/c.json': [Buffer.from('2'), {level: 0}],
    });
    const found: [string, number][] = [];
    for await (const file of unzipped(inPieces(bytes, [100]), (name) => name.endsWith('.json')))
      found.push([file.name, (await all(ndjson(file.body))).length]);
    expect(found).toEqual([
      ['a.json', 5000],
      ['b/c.json', 1],
    ]);
  });

  it('fail when a ZIP breaks off', async () => {
    const bytes = zipSync({'a.json': Buffer.from(text), 'b.json': Buffer.from(text)});
    for (const length of [20, 100, bytes.length - 30, bytes.length - 22]) {
      const read = async (): Promise<void> => {
        for await (const file of unzipped(inPieces(bytes.subarray(0, length)))) for await (const _ of file.body);
      };
      await expect(read()).rejects.toMatchObject({code: 'SOURCE_ERROR'});
    }
  });
});

describe('text', () => {
  it('loses its byte order mark, follows its charset and is never replaced in silence', () => {
    expect(bodyText(Buffer.from('\uFEFFé'))).toBe('é');
    expect(bodyText(Buffer.from('é', 'latin1'), charsetOf('text/csv; charset="ISO-8859-1"'))).toBe('é');
    expect(() => bodyText(Buffer.from('é', 'latin1'))).toThrow('not valid utf-8');
    for (const text of ['é', 'aÿ\u0100', '€ of \uD83D\uDE00', '\u0000é', 'x'.repeat(70_000) + '\uFFFD\uFEFF'])
      expect(bodyText(Buffer.from(text))).toBe(text);
  });
});
