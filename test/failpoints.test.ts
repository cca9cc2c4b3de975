import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';

import {describe, expect, it} from 'vitest';

import {CDC_FAILPOINTS} from '../scripts/chaos/cdc.ts';
import {MODEL_FAILPOINTS} from '../scripts/chaos/model.ts';
import {RUN_FAILPOINTS} from '../scripts/chaos/run.ts';
import {FAILPOINTS} from '../src/core/failpoint.ts';
import {GATEWAY_FAILPOINTS} from '../src/testkit/gateway-steps.ts';

const sources = readdirSync('src', {recursive: true, withFileTypes: true})
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
  .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));

describe('steps at which crash tests kill', () => {
  it('are each marked somewhere', () => {
    const marked = new Set(
      sources.flatMap((text) => [...text.matchAll(/\bfailpoint\('([^']+)'\)/g)].map(([, name]) => name)),
    );
    expect(marked).toEqual(new Set<string | undefined>(FAILPOINTS));
  });

  it('are each killed at by a scenario; a sample of it fails when one is never reached', () => {
    expect(new Set([...RUN_FAILPOINTS, ...MODEL_FAILPOINTS, ...CDC_FAILPOINTS])).toEqual(new Set(FAILPOINTS));
    expect(CDC_FAILPOINTS).toEqual(expect.arrayContaining([...GATEWAY_FAILPOINTS]));
  });
});
