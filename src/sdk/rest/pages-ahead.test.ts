import {describe, expect, it} from 'vitest';

import type {HttpContext} from '../http/http-client.ts';
import {type AskPage, pagesAhead} from './pages-ahead.ts';

describe('pages ahead', () => {
  const asked: number[] = [];
  const signals: AbortSignal[] = [];
  const ctx = {signal: new AbortController().signal} as HttpContext;
  const ask =
    (page: number): AskPage<number> =>
    async ({signal}) => {
      asked.push(page);
      signals.push(signal);
      await Promise.resolve();
      if (page === 9) throw new Error('page 9');
      return page;
    };

  it('asks for the page after the one that is used, and for none after the last', async () => {
    asked.length = 0;
    const used: string[] = [];
    for await (const page of pagesAhead(ctx, ask(1), (page) => (page === 3 ? null : ask(page + 1))))
      used.push(`${page} of ${asked.join(',')}`);
    expect(used).toEqual(['1 of 1,2', '2 of 1,2,3', '3 of 1,2,3']);
  });

  it('ends the request under way when it is left, and hides its failure', async () => {
    signals.length = 0;
    for await (const page of pagesAhead(ctx, ask(8), (page) => ask(page + 1))) {
      expect(page).toBe(8);
      break;
    }
    expect(signals.at(-1)?.aborted).toBe(true);
  });

  it('fails with the page that is due', async () => {
    const pages = pagesAhead(ctx, ask(8), (page) => ask(page + 1));
    expect(await pages.next()).toEqual({done: false, value: 8});
    await expect(pages.next()).rejects.toThrow('page 9');
  });
});
