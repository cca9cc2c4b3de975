import {describe, expect, it} from 'vitest';

import {runAndKill} from './kill.ts';

describe('a program under test', () => {
  it('ends by itself with its code and its output', async () => {
    const end = await runAndKill({args: ['-e', "console.log('out'); console.error('err'); process.exitCode = 3"]});
    expect(end).toMatchObject({code: 3, killed: false});
    expect(end.output).toContain('out');
    expect(end.output).toContain('err');
  });

  it('is killed at a moment, with all that it started', async () => {
    // The inherited output stays open as long as the grandchild lives, and only then does the run end.
    const script = `
      require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {stdio: 'inherit'});
      setInterval(() => {}, 1000);`;
    const end = await runAndKill({args: ['-e', script], killAfterMs: 500, timeoutMs: 8000});
    expect(end).toMatchObject({code: null, killed: true});
  });

  it('is stopped in good order', async () => {
    const script = `process.once('SIGTERM', () => { console.log('bye'); process.exit(0); }); setInterval(() => {}, 1000);`;
    const end = await runAndKill({args: ['-e', script], stop: AbortSignal.timeout(500), timeoutMs: 8000});
    expect(end).toMatchObject({code: 0, killed: false});
    expect(end.output).toContain('bye');
  });

  it('is told when it hangs', async () => {
    await expect(runAndKill({args: ['-e', 'setInterval(() => {}, 1000)'], timeoutMs: 300})).rejects.toThrow('hung');
  });

  it('gets the environment that it is given', async () => {
    const end = await runAndKill({
      args: ['-e', 'console.log(process.env.SLUICE_FAILPOINT)'],
      env: {SLUICE_FAILPOINT: 'x:1'},
    });
    expect(end.output.trim()).toBe('x:1');
  });
});
