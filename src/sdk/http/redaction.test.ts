import {describe, expect, it} from 'vitest';

import {createRedactor, isCredentialName} from './redaction.ts';

describe('redaction', () => {
  it('knows credentials by their names, and paging tokens as none', () => {
    for (const name of [
      'Authorization',
      'x-api-key',
      'client_secret',
      'refresh_token',
      'accessToken',
      'password',
      'Set-Cookie',
      'X-Amz-Signature',
    ])
      expect(isCredentialName(name), name).toBe(true);
    for (const name of [
      'next_page_token',
      'pageToken',
      'nextSyncToken',
      'max_tokens',
      'key',
      'code',
      'author',
      'tokens_used',
      'id',
    ])
      expect(isCredentialName(name), name).toBe(false);
  });

  it('removes a value in every spelling that it takes on its way', () => {
    const secret = 'p&ss "wörd"+/=';
    const redactor = createRedactor([secret]);
    const spellings = [
      secret,
      encodeURIComponent(secret),
      new URLSearchParams({x: secret}).toString(),
      JSON.stringify({x: secret}),
    ];
    for (const spelling of spellings) expect(redactor.text(`before ${spelling} after`)).not.toMatch(/p&ss|p%26ss|w.rd/);
  });

  it('removes a secret that the end of a shown body cuts in two', () => {
    const redactor = createRedactor(['abcdefghij']);
    expect(redactor.body('12345abcdefghij', 10)).not.toContain('abc');
  });

  it('masks users in addresses, parameters by name and fields of JSON by name', () => {
    const redactor = createRedactor();
    expect(redactor.url('http://me:pass@host/x?page=2&key=1&sig=2#f')).toBe(
      'http://***@host/x?page=2&key=***&sig=***#f',
    );
    expect(redactor.body('{"key": "PROJ-1", "token" : "t\\"x", "page": "a=b"}', 100)).toBe(
      '{"key": "PROJ-1", "token" : "***", "page": "a=b"}',
    );
    expect(redactor.body('grant_type=refresh_token&refresh_token=abc&scope=x', 100)).toBe(
      'grant_type=refresh_token&refresh_token=***&scope=x',
    );
  });
});
