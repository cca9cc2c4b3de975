import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import {connectorContext, openConnector} from '../open-connector.ts';
import {failureOf, TINY, writeFolder} from './author.support.test.ts';
import {loadConnectorFolder} from './load-connector.ts';

const {'index.ts': SOURCE = ''} = TINY;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-load-'));
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const write = (files: Readonly<Record<string, string>>): Promise<string> => writeFolder(folder, files);
const failure = (promise: Promise<unknown>): ReturnType<typeof failureOf> => failureOf(promise, folder);

describe('a connector in a folder', {timeout: 30_000}, () => {
  it('runs on the SDK of this process and gets the options of its connection only', async () => {
    const root = await write({'index.ts': SOURCE, 'table.ts': "export const TABLE = 'rows';\n"});
    const spec = {
      name: 'c',
      connector: 'tiny',
      place: {kind: 'path' as const, path: root},
      options: {host: 'h'},
    };
    await using open = await openConnector(spec, {clock: systemClock});
    const ctx = {signal: new AbortController().signal, clock: systemClock} as never;
    expect(await open.connector.listTables(ctx)).toEqual(['rows', 'host']);
    const {context} = await connectorContext(spec, {clock: systemClock, env: {HTTPS_PROXY: 'http://proxy:3128'}});
    expect(context.proxies).toEqual({https: 'http://proxy:3128'});
    const error = await open.connector.readTableMetadata('x', {}, ctx).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(IngestError);
  });

  it('is not found under a name that every object has', async () => {
    const spec = {name: 'c', connector: 'constructor', options: {}};
    expect(await failure(openConnector(spec, {clock: systemClock}))).toMatchObject({code: 'UNKNOWN_CONNECTOR'});
  });

  it('is loaded anew when a file of it changes', async () => {
    const root = await write({'index.ts': SOURCE, 'table.ts': "export const TABLE = 'rows';\n"});
    const tables = async (): Promise<readonly string[]> => {
      const {definition} = await loadConnectorFolder(root);
      return definition
        .create({options: {}, clock: systemClock, random: Math.random, connectionName: 'c'})
        .listTables({} as never);
    };
    expect(await tables()).toEqual(['rows']);
    await writeFile(join(root, 'table.ts'), "export const TABLE = 'lines';\n");
    expect(await tables()).toEqual(['lines']);
  });

  it('names file, line and fix when its code is broken', async () => {
    const broken = await write({'index.ts': 'export default {\n'});
    expect(await failure(loadConnectorFolder(broken))).toMatchObject({
      code: 'INVALID_CONNECTOR',
      message: expect.stringMatching(/index\.ts:2:1: Expected identifier but found end of file/) as string,
    });
    const lost = await write({'index.ts': "import {x} from 'left-pad';\nexport default x;\n"});
    expect(await failure(loadConnectorFolder(lost))).toMatchObject({
      code: 'INVALID_CONNECTOR',
      fix: "Install it in the connector's folder: npm install left-pad",
    });
    const empty = await write({'index.ts': 'export const x = 1;\n'});
    expect(await failure(loadConnectorFolder(empty))).toMatchObject({
      message: expect.stringContaining('index.ts exports no connector') as string,
    });
    const throwing = await write({'index.ts': "throw new Error('too early');\n"});
    expect(await failure(loadConnectorFolder(throwing))).toMatchObject({
      message: expect.stringContaining('index.ts fails when it is loaded: too early') as string,
    });
  });

  it('may import the doors of Sluice and nothing behind them', async () => {
    const root = await write({'index.ts': "import 'sluice/runtime';\n"});
    expect(await failure(loadConnectorFolder(root))).toMatchObject({
      message: expect.stringContaining('may import sluice/sdk, sluice/simulator, sluice/testkit only') as string,
    });
  });

  it('is refused when it is written for another major of the SDK', async () => {
    const root = await write({'index.ts': SOURCE, 'package.json': '{"peerDependencies": {"sluice": "^7.0.0"}}'});
    expect(await failure(loadConnectorFolder(root))).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('was built for sluice/sdk ^7.0.0; this is') as string,
    });
  });

  it('is missed by its path', async () => {
    expect(await failure(loadConnectorFolder(join(folder, 'nowhere')))).toMatchObject({
      code: 'UNKNOWN_CONNECTOR',
      message: 'There is no connector at /nowhere.',
    });
  });
});
