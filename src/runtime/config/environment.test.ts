import {afterEach, describe, expect, it} from 'vitest';

import {failpoint, installFailpoints} from '../../core/failpoint.ts';
import {bundleVariables, installFailpointOf, lakeOf, proxiesOf} from './environment.ts';

afterEach(() => installFailpoints(null));

describe('the environment', () => {
  it('names the lake and values of variables', () => {
    expect(lakeOf({})).toBeNull();
    expect(lakeOf({SLUICE_LAKE: ''})).toBeNull();
    expect(lakeOf({SLUICE_LAKE: '/data'})).toBe('/data');
    expect([...bundleVariables({BUNDLE_VAR_a: '1', BUNDLE_VAR_B_c: '', OTHER: 'x'})]).toEqual([
      ['a', '1'],
      ['B_c', ''],
    ]);
  });

  it('names the proxies on the way to a source', () => {
    expect(proxiesOf({NO_PROXY: '*'})).toBeUndefined();
    expect(proxiesOf({HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:2', no_proxy: 'x.example'})).toEqual({
      https: 'http://b:2',
      none: 'x.example',
    });
    expect(proxiesOf({HTTP_PROXY: 'proxy.example:3128'})).toEqual({http: 'http://proxy.example:3128'});
  });

  it('makes a step fail at the pass that it names', () => {
    installFailpointOf({SLUICE_FAILPOINT: 'pipeline.committed:2:error'});
    failpoint('pipeline.committed');
    failpoint('read.page');
    expect(() => failpoint('pipeline.committed')).toThrow(
      expect.objectContaining({code: 'STORAGE_FAILED', class: 'transient'}),
    );
    failpoint('pipeline.committed');
  });

  it('refuses what it does not understand', () => {
    installFailpointOf({});
    for (const text of ['a b', 'read.page:x', 'read.page:1:maybe'])
      expect(() => installFailpointOf({SLUICE_FAILPOINT: text})).toThrow(
        expect.objectContaining({code: 'INVALID_OPTION'}),
      );
  });
});
