import {readFileSync} from 'node:fs';

import {describe, expect, it, vi} from 'vitest';

import * as example from '../../docs/examples/simulator.ts';

const read = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
// Line breaks and the commas before closing brackets are the formatter's.
const plain = (text: string): string => text.replace(/\s+/g, '').replace(/,([)\]}])/g, '$1');

describe('the manual of simulators', () => {
  it('shows nothing that is not in the examples', () => {
    const blocks = [...read('simulator.md').matchAll(/```(ts|yaml)\n([\s\S]*?)```/g)];
    expect(blocks.length).toBeGreaterThan(3);
    const sources = {ts: plain(read('examples/simulator.ts')), yaml: plain(read('examples/bookshop-api.yml'))};
    for (const [, language, code = ''] of blocks) expect(sources[language as 'ts' | 'yaml']).toContain(plain(code));
  });

  it('has examples that run', async () => {
    vi.spyOn(console, 'log').mockImplementation(() => undefined);
    expect(await example.serve()).toBe(249);
    expect(await example.breakIt()).toEqual([200, 429, 200]);
    expect(await example.compare()).toBe('1 of 1 recorded requests are answered alike.');
    expect(await example.serveDocument()).toBe(200);
  });
});
