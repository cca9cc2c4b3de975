import type {TestContext} from 'vitest';

import type {ProvidedStore} from './stores.ts';

/** Skips a test whose server cannot be had, saying why; in CI that is a failure. */
export function needStore(context: Pick<TestContext, 'skip'>, store: ProvidedStore): string {
  if (store.url !== null) return store.url;
  if (process.env['CI'] === 'true') throw new Error(`${store.name}: ${store.missing}`);
  return context.skip(store.missing);
}
