import {describe, expect, it} from 'vitest';

import {simulateInProcess} from './in-process.ts';

const moduleUrl = new URL('./in-process.support.test.ts', import.meta.url);

describe('a simulator in a process of its own', () => {
  it('serves, counts, and obeys functions of its module', async () => {
    await using simulator = await simulateInProcess(moduleUrl, {exportName: 'things', argument: 250});
    const page = (): Promise<Response> => fetch(`${simulator.url}/things?page=3`);
    expect((await (await page()).json()) as unknown).toMatchObject({data: {length: 50}});
    expect(await simulator.run('remove', 0)).toBe(249);
    expect((await (await page()).json()) as unknown).toMatchObject({data: {length: 49}});
    expect(await simulator.statistics()).toMatchObject({requestCount: 2, violationCount: 0});
    await expect(simulator.run('nothing')).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
  });

  it('says what is wrong with a module', async () => {
    await expect(simulateInProcess(moduleUrl)).rejects.toThrow('exports no simulator');
  });
});
