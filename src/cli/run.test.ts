import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {IngestError} from '../core/errors.ts';
import type {FlowProgress, RunOptions, RunResult, RuntimeApi} from '../runtime/api.ts';
import {progress, run, type Interrupt, type TestPlace} from './io.support.test.ts';

const ONE = 'connection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connection_type: EXAMPLE}}\n';
const TWO = `resources:
  connections: {c: {connection_type: EXAMPLE}}
  pipelines:
    first: {ingestion_definition: {connection_name: c, objects: [{table: {source_table: a}}]}}
    second: {ingestion_definition: {connection_name: c, objects: [{table: {source_table: b}}]}}
`;

describe('sluice run', () => {
  let cwd = '';
  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'cli-'));
    await writeFile(join(cwd, 'one.yml'), ONE);
    await writeFile(join(cwd, 'two.yml'), TWO);
  });
  afterEach(() => rm(cwd, {recursive: true, force: true}));

  const calls: {key: string; options: RunOptions}[] = [];
  beforeEach(() => void calls.splice(0));

  /** A runtime whose runs end with these flows. */
  function ending(...flows: FlowProgress[]): Partial<RuntimeApi> {
    return {
      runPipeline: (spec, options) => {
        calls.push({key: spec.key, options});
        for (const flow of flows) options.onUpdate({kind: 'flow', updateId: 'u', pipeline: spec.key, progress: flow});
        const state = flows.some((flow) => flow.state === 'FAILED') ? 'FAILED' : 'COMPLETED';
        return Promise.resolve<RunResult>({updateId: 'u', pipeline: spec.key, state, flows, elapsedMs: 5});
      },
    };
  }
  const failing = (error: unknown): Partial<RuntimeApi> => ({runPipeline: () => Promise.reject(error)});
  const one = (runtime: Partial<RuntimeApi>, ...args: string[]): ReturnType<typeof run> =>
    run(['run', 'one.yml', ...args], {cwd, runtime});
  const failed = (errorCode: string): FlowProgress =>
    progress('main.default.t', {state: 'FAILED', errorCode, errorMessage: 'What happened.', errorFix: 'What to do.'});

  it('is not green when a table was found to differ from its source', async () => {
    const wrong = progress('main.default.t', {verdict: 'different'});
    const equal = progress('main.default.u', {verdict: 'equal'});
    const end = await one(ending(wrong, equal));
    expect(end.status).toBe(4);
    expect(end.stdout).toContain('main.default.t differs from its source');
    expect(end.stdout).toContain('1 proven equal to its source');
    expect((await one(ending(equal))).status).toBe(0);
    expect((await one(ending(progress('main.default.u', {verdict: 'unproven'})))).status).toBe(0);
    expect((await one(ending(wrong, failed('SOURCE_ERROR')))).status).toBe(1);
  });

  it('prints a summary and exits with 0 when all flows completed', async () => {
    const end = await one(
      ending(
        progress('main.default.t', {
          rowsRead: 1234,
          rowsInserted: 1200,
          rowsUpdated: 34,
          bytesWritten: 5000,
          version: 3,
        }),
      ),
    );
    expect(end.status).toBe(0);
    expect(end.stdout).toContain(
      'main.default.t  COMPLETED  1,234     1,200       34        0  5.00 kB        3  10 ms',
    );
    expect(end.stdout).toContain('1 of 1 table completed in 5 ms');
    expect(end.stderr).toBe('COMPLETED  main.default.t: 1,234 read, 1,200 inserted, 34 updated, 10 ms\n');
  });

  it('exits with 1 when a flow failed, and says what, where and how to fix it', async () => {
    const end = await one(ending(progress('main.default.s'), failed('AUTH_FAILED')));
    expect(end.status).toBe(1);
    expect(end.stderr).toContain('error: [AUTH_FAILED] What happened.\n  at main.default.t\n  fix: What to do.\n');
    expect(end.stdout).toContain('1 of 2 tables completed in 5 ms, 1 failed');
  });

  it('exits with 3 when another run is under way or won', async () => {
    expect((await one(failing(new IngestError('CONCURRENT_RUN', 'Another run is under way.')))).status).toBe(3);
    expect((await one(ending(failed('COMMIT_CONFLICT')))).status).toBe(3);
    expect((await one(ending(failed('COMMIT_CONFLICT'), failed('SOURCE_ERROR')))).status).toBe(1);
  });

  it('exits with 2 when the source knows the input is wrong', async () => {
    const end = await one(failing(new IngestError('UNKNOWN_TABLE', 'No table matches x.', {fix: 'Its tables are t.'})));
    expect(end.status).toBe(2);
    expect(end.stderr).toBe('error: [UNKNOWN_TABLE] No table matches x.\n  fix: Its tables are t.\n');
  });

  it('shows a stack only when it is asked to', async () => {
    const broken = failing(new TypeError('x is undefined'));
    const quiet = await one(broken);
    expect(quiet.status).toBe(1);
    expect(quiet.stderr).toContain('error: [INTERNAL] x is undefined');
    expect(quiet.stderr).not.toContain('    at ');
    expect((await one(broken, '--verbose')).stderr).toContain('TypeError: x is undefined\n    at ');
  });

  it('prints nothing but errors with --quiet', async () => {
    expect(await one(ending(progress('main.default.t')), '--quiet')).toMatchObject({status: 0, stdout: '', stderr: ''});
    expect((await one(ending(failed('AUTH_FAILED')), '-q')).stderr).toContain('error: [AUTH_FAILED]');
  });

  it('prints one JSON value per line with --json', async () => {
    const end = await one(ending(progress('main.default.t')), '--json');
    expect(end.stderr).toBe('');
    const lines = end.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as {kind: string});
    expect(lines.map((line) => line.kind)).toEqual(['flow', 'result']);
    const wrong = await one(failing(new IngestError('CONCURRENT_RUN', 'Busy.', {fix: 'Wait.'})), '--json');
    expect(JSON.parse(wrong.stdout)).toEqual({
      kind: 'error',
      pipeline: 'one',
      code: 'CONCURRENT_RUN',
      message: 'Busy.',
      fix: 'Wait.',
    });
  });

  it('hands flags on', async () => {
    await one(
      ending(),
      '--table',
      'a*',
      '--table',
      'b',
      '--full-refresh-tables',
      'a1, b',
      '--memory',
      '512',
      '--threads',
      '2',
      '--parallel',
      '7',
    );
    expect(calls[0]?.options).toMatchObject({
      tables: ['a*', 'b'],
      fullRefresh: ['a1', 'b'],
      memoryLimitMb: 512,
      threads: 2,
      maxParallelFlows: 7,
      lake: join(cwd, 'lake'),
    });
    await one(ending(), '--full-refresh');
    expect(calls[1]?.options).toMatchObject({tables: [], fullRefresh: true});
    await one(ending(), '--backfill', 'a:x, y', '--backfill', 'b:z');
    expect(calls[2]?.options.backfill).toEqual([
      {table: 'a', columns: ['x', 'y']},
      {table: 'b', columns: ['z']},
    ]);
  });

  it('finds the lake by flag, then SLUICE_LAKE, then the file, then ./lake', async () => {
    await writeFile(join(cwd, 'lake.yml'), `lake: data/x\n${ONE}`);
    const lakeOf = async (args: string[], env: Record<string, string> = {}): Promise<string | undefined> => {
      await run(['run', ...args], {cwd, env, runtime: ending()});
      return calls.pop()?.options.lake;
    };
    expect(await lakeOf(['one.yml'])).toBe(join(cwd, 'lake'));
    expect(await lakeOf(['lake.yml'])).toBe(join(cwd, 'data/x'));
    expect(await lakeOf(['lake.yml'], {SLUICE_LAKE: 'env'})).toBe(join(cwd, 'env'));
    expect(await lakeOf(['lake.yml', '--lake', '/flag'], {SLUICE_LAKE: 'env'})).toBe('/flag');
  });

  it('takes a sole argument that is no file for the pipeline', async () => {
    await writeFile(join(cwd, 'sluice.yml'), TWO);
    await run(['run', 'second'], {cwd, runtime: ending()});
    await run(['run', 'two.yml', 'first'], {cwd, runtime: ending()});
    await run(['run', '.'], {cwd, runtime: ending()});
    expect(calls.map((call) => call.key)).toEqual(['second', 'first', 'first', 'second']);
    expect((await run(['run', 'none.yml'], {cwd})).stderr).toContain('There is no file none.yml.');
  });

  describe('of several pipelines', () => {
    it('goes on after one that failed', async () => {
      const runtime: Partial<RuntimeApi> = {
        runPipeline: (spec, options) =>
          (spec.key === 'first'
            ? Promise.reject(new IngestError('AUTH_FAILED', 'No.'))
            : ending(progress('x')).runPipeline?.(spec, options)) as Promise<RunResult>,
      };
      const end = await run(['run', 'two.yml'], {cwd, runtime});
      expect(end.status).toBe(1);
      expect(end.stdout).toContain('1 of 1 table completed');
      expect(end.stderr).toContain('error: [AUTH_FAILED] No.');
    });

    it('does not say "nothing was written" when one of them ran', async () => {
      const runtime: Partial<RuntimeApi> = {
        runPipeline: (spec, options) =>
          (spec.key === 'first'
            ? ending(progress('x')).runPipeline?.(spec, options)
            : Promise.reject(new IngestError('UNKNOWN_TABLE', 'No.'))) as Promise<RunResult>,
      };
      expect((await run(['run', 'two.yml'], {cwd, runtime})).status).toBe(1);
    });

    it('wants one named when tables are chosen', async () => {
      const end = await run(['run', 'two.yml', '--table', 'a'], {cwd, runtime: ending()});
      expect(end).toMatchObject({
        status: 2,
        stderr:
          'error: [INVALID_OPTION] Tables are chosen from one pipeline.\n  fix: Name the pipeline: first, second.\n',
      });
      expect(calls).toEqual([]);
    });
  });

  describe('at Ctrl-C', () => {
    /** A run that goes on until it is asked to stop. */
    const waiting = (
      place: Partial<TestPlace> = {},
    ): {readonly end: ReturnType<typeof run>; readonly interrupt: Interrupt; readonly stopping: Promise<void>} => {
      let interrupt: Interrupt = () => undefined;
      let stops = (): void => undefined;
      const stopping = new Promise<void>((resolve) => (stops = resolve));
      const runtime: Partial<RuntimeApi> = {
        runPipeline: (spec, options) => {
          calls.push({key: spec.key, options});
          return new Promise((resolve) => {
            options.signal.addEventListener('abort', () => {
              stops();
              const flows = [progress('main.default.t', {state: 'STOPPED'})];
              setTimeout(
                () => resolve({updateId: 'u', pipeline: spec.key, state: 'CANCELED', flows, elapsedMs: 5}),
                20,
              );
            });
            setTimeout(() => interrupt(), 5);
          });
        },
      };
      const end = run(['run', 'two.yml'], {cwd, runtime, ...place}, (given) => {
        interrupt = given;
      });
      return {end, interrupt: () => interrupt(), stopping};
    };

    it('stops gracefully, starts no other pipeline and exits with 130', async () => {
      const end = await waiting().end;
      expect(end.status).toBe(130);
      expect(end.exits).toEqual([]);
      expect(calls.map((call) => call.key)).toEqual(['first']);
      expect(end.stderr).toContain('Stopping after the current batch; Ctrl-C again quits at once.');
      expect(end.stdout).toContain('STOPPED');
    });

    it('ends the process at the second', async () => {
      const {end, interrupt, stopping} = waiting();
      await stopping;
      interrupt();
      expect((await end).exits).toEqual([130]);
    });
  });
});
