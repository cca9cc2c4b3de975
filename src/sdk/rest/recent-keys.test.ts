import {expect, it} from 'vitest';

import {RecentKeys} from './recent-keys.ts';

it('knows the last keys and forgets older ones, in a time that does not grow with them', () => {
  const keys = new RecentKeys();
  let fresh = 0;
  for (let at = 0; at < 500_000; at++) if (keys.isNew(String(at))) fresh++;
  expect(fresh).toBe(500_000);
  expect(keys.isNew('499999')).toBe(false);
  expect(keys.isNew('380000')).toBe(false);
  expect(keys.isNew('0')).toBe(true);
});
