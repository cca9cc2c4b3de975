import {expect, test} from 'vitest';
import {didYouMean} from './suggest.ts';

test.each([['scd_typ', 'scd_type'], ['primary_kyes', 'primary_keys'], ['POSTGRESL', 'postgresql'], ['xyz', null], ['a', null]] as const)('%s means %s', (word, meant) => {
  expect(didYouMean(word, ['scd_type', 'primary_keys', 'postgresql'])).toBe(meant);
});
