import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {saveConnection} from '../connections/connection-store.ts';
import {loadConnections, loadPipelines, type LoadRequest} from './load-pipelines.ts';

let folder = '';
let request: LoadRequest;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'connections-'));
  request = {cwd: folder, variables: {}, env: {XDG_CONFIG_HOME: join(folder, 'config')}};
});
afterEach(() => rm(folder, {recursive: true, force: true}));

const store = (options: Record<string, string>, more: object = {}): Promise<unknown> =>
  saveConnection(
    {home: join(folder, '.sluice'), env: request.env},
    {name: 'shop', connector: 'example', options, isSecret: (name) => name === 'password', nowMs: 0, ...more},
    'replace',
  );
const configure = (connections: string): Promise<void> =>
  writeFile(
    join(folder, 'sluice.yml'),
    `connection_name: shop\nobjects: [{table: {source_table: t}}]\n${connections === '' ? '' : `connections: ${connections}\n`}`,
  );

describe('connections', () => {
  it('of the store serve a pipeline whose file does not declare them', async () => {
    await store({user: 'u', password: 'hunter2'});
    await configure('');
    const {pipelines} = await loadPipelines(request);
    expect(pipelines[0]?.connection).toEqual({
      name: 'shop',
      connector: 'example',
      options: {user: 'u', password: 'hunter2'},
      home: join(folder, '.sluice'),
    });
  });

  it('of the file win over those of the store', async () => {
    await store({user: 'stored', password: 'stored'});
    await configure('{shop: {connection_type: EXAMPLE, options: {user: declared}}}');
    expect((await loadPipelines(request)).pipelines[0]?.connection.options).toEqual({user: 'declared'});
  });

  it('of the file take what a login gave, unless they say it themselves', async () => {
    await store({password: 'token'}, {login: {option: 'password', at: 'now'}});
    await configure('{shop: {connection_type: EXAMPLE, options: {user: declared}}}');
    expect((await loadPipelines(request)).pipelines[0]?.connection.options).toEqual({
      user: 'declared',
      password: 'token',
    });
    await configure('{shop: {connection_type: EXAMPLE, options: {user: declared, password: mine}}}');
    expect((await loadPipelines(request)).pipelines[0]?.connection.options).toEqual({
      user: 'declared',
      password: 'mine',
    });
  });

  it('are found by name, without a configuration too, and in the folder of SLUICE_HOME', async () => {
    await store({password: 'hunter2'});
    const found = (await loadConnections(request)).find('shop');
    expect(found).toMatchObject({connector: 'example', options: {password: 'hunter2'}});
    const elsewhere = await loadConnections({
      ...request,
      cwd: tmpdir(),
      env: {...request.env, SLUICE_HOME: join(folder, '.sluice')},
    });
    expect(elsewhere.find('shop')).toEqual(found);
    expect(() => elsewhere.find('shopp')).toThrow(expect.objectContaining({fix: 'Did you mean "shop"?'}));
  });

  it('are named with their file when none is there', async () => {
    await configure('');
    await expect(loadPipelines(request)).rejects.toMatchObject({code: 'INVALID_SPEC'});
    expect(await loadConnections(request)).toMatchObject({declared: [], file: 'sluice.yml'});
  });
});
