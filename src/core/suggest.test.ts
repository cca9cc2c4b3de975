import {describe, expect, it} from 'vitest';

import {didYouMean} from './suggest.ts';

describe('didYouMean', () => {
  it.each([
    ['passwrod', ['password', 'passport'], 'password'],
    ['Primary_Key', ['primary_keys', 'sequence_by'], 'primary_keys'],
    ['hots', ['host', 'port'], 'host'],
    ['user', ['usr', 'users'], 'usr'],
    ['max_records_perbatch', ['max_records_per_batch'], 'max_records_per_batch'],
  ])('finds what %s means', (word, candidates, meant) => {
    expect(didYouMean(word, candidates)).toBe(meant);
  });

  it.each([
    ['region', ['host', 'port', 'user']],
    ['ab', ['xy']],
    ['', ['a']],
    ['table', []],
  ])('finds nothing near %s', (word, candidates) => {
    expect(didYouMean(word, candidates)).toBeNull();
  });
});
