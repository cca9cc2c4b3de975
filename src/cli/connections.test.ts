import {mkdir, mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {run, type TestEnd} from './io.support.test.ts';

let cwd = '';
let env: Record<string, string> = {};
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'cli-connections-'));
  env = {XDG_CONFIG_HOME: join(cwd, 'config')};
});
afterEach(() => rm(cwd, {recursive: true, force: true}));

const cli = (...args: string[]): Promise<TestEnd> => run(['connections', ...args], {cwd, env});
const create = (...args: string[]): Promise<TestEnd> =>
  cli('create', 'shop', '--connector', 'example', '--option', 'username=u', ...args);

/** A connector with a login, over an API that counts what its token says. */
const CONNECTOR = `
import {defineConnector, IngestError} from 'sluice/sdk';
export default defineConnector({
  name: 'crm',
  spec: {
    displayName: 'CRM',
    description: 'A connector of a test.',
    connection: {
      base_url: {type: 'string', required: true, description: 'Address.'},
      token_path: {type: 'string', default: 'token', description: 'Path.'},
      client_id: {type: 'string', required: true, description: 'Client.'},
      client_secret: {type: 'string', secret: true, description: 'Secret.'},
      refresh_token: {type: 'string', required: true, secret: true, description: 'Token.'},
    },
    table: {},
    oauth: {authorizationUrl: '{base_url}/authorize', tokenUrl: '{base_url}/{token_path}'},
  },
  create: ({options, secrets, trace}) => ({
    async listTables() {
      const url = options.base_url + '/tables';
      const token = (await secrets.get('refresh_token')) ?? options.refresh_token;
      await secrets.replace('refresh_token', await secrets.get('refresh_token'), token + '+');
      trace?.({startedAtMs: 0, elapsedMs: 1, attempt: 1, request: {method: 'GET', url, headers: []}});
      if (!token.startsWith('r1')) throw new IngestError('AUTH_FAILED', 'The API refused ' + token + '.');
      return [token];
    },
    getTableSchema: async () => ({type: 'struct', fields: [{name: 'id', type: 'long', nullable: false, metadata: {}}]}),
    readTableMetadata: async () => ({primaryKeys: ['id'], ingestionType: 'snapshot'}),
    async *readTable() {
      yield [{id: 1}];
      return null;
    },
  }),
});
`;

describe('sluice connections', {timeout: 30_000}, () => {
  it('stores a connection and never shows its secrets again', async () => {
    const created = await create('--option', 'password=hunter2hunter2');
    expect(created).toMatchObject({status: 0, stderr: ''});
    expect(created.stdout).toContain('Sealed: password.');
    for (const command of [['list'], ['show', 'shop'], ['test', 'shop']])
      for (const flags of [[], ['--json'], ['--verbose']]) {
        const end = await cli(...command, ...flags);
        expect(end.status).toBe(0);
        expect(end.stdout + end.stderr).not.toContain('hunter2');
      }
    expect((await cli('show', 'shop')).stdout).toContain('password: ********');
    expect(await readFile(join(cwd, '.sluice/connections/shop.json'), 'utf8')).not.toContain('hunter2');
  });

  it('takes options from a file and the environment, and keeps references', async () => {
    await writeFile(join(cwd, 'options.yml'), 'password: from-the-file\nseed: 7\nties: 1\n');
    env = {...env, EXAMPLE_TIES: '3', EXAMPLE_SEED: '9'};
    const end = await create(
      '--options-file',
      'options.yml',
      '--from-env',
      '--option',
      'password=${env.SHOP}',
      '--json',
    );
    expect(JSON.parse(end.stdout)).toMatchObject({
      sealed: [],
      taken: [],
      notes: [expect.stringContaining('SHOP is not set')],
    });
    const shown = await cli('show', 'shop', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({
      options: {password: '${env.SHOP}', seed: 7, ties: 1, username: 'u'},
    });
    await rm(join(cwd, 'options.yml'));
    const again = await create('--from-env', '--option', 'password=xxxxxxxxx', '--replace', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({sealed: ['password'], taken: ['seed', 'ties']});
  });

  it('refuses what the connector does not know, names in use, and files that are no mapping', async () => {
    for (const [args, code] of [
      [['create', 'a', '--connector', 'exampel'], 'Did you mean "example"?'],
      [['create', 'a', '--connector', 'example', '--option', 'pasword=hunter2'], 'Did you mean "password"?'],
      [['create', 'a', '--connector', 'example', '--option', 'username=u'], 'Set password.'],
      [
        ['create', '../a', '--connector', 'example', '--option', 'username=u', '--option', 'password=p'],
        'INVALID_OPTION',
      ],
      [['create', 'a', '--connector', 'example', '--options-file', 'none.yml'], 'none.yml cannot be read'],
      [['show', 'a'], 'There is no connection "a"'],
      [['delete', 'a'], 'There is no connection "a"'],
      [['login', 'a'], 'There is no connection "a"'],
    ] as const) {
      const end = await cli(...args);
      expect(end.status).toBe(2);
      expect(end.stderr).toContain(code);
      expect(end.stderr).not.toContain('hunter2');
    }
    await writeFile(join(cwd, 'bad.yml'), 'password: [hunter2\n');
    expect((await create('--options-file', 'bad.yml')).stderr).not.toContain('hunter2');
    await create('--option', 'password=hunter2hunter2');
    expect((await create('--option', 'password=hunter2hunter2')).stderr).toContain('add --replace');
  });

  it('knows the connections of the configuration, which win', async () => {
    await create('--option', 'password=hunter2hunter2');
    await writeFile(
      join(cwd, 'sluice.yml'),
      'connection_name: c\nobjects: [{table: {source_table: users}}]\nconnections: {shop: {connection_type: EXAMPLE, options: {username: declared, password: hunter3}}}\n',
    );
    expect(JSON.parse((await cli('list', '--json')).stdout)).toMatchObject({
      connections: [{name: 'shop', connector: 'example', where: 'sluice.yml'}],
    });
    const shown = await cli('show', 'shop');
    expect(shown.stdout).toContain('declared in sluice.yml');
    expect(shown.stdout).not.toContain('hunter');
    expect((await cli('test', 'shop')).stdout).toContain('The source lists 5 tables.');
    expect((await create('--replace', '--option', 'password=hunter2hunter2')).stderr).toContain(
      'What the file says wins',
    );
    await cli('delete', 'shop');
    expect((await cli('delete', 'shop')).status).toBe(2);
  });

  it('logs in with the browser, keeps what rotates, tries the connection and traces it', async () => {
    const tokens = createServer((_request, response) =>
      response
        .setHeader('content-type', 'application/json')
        .end('{"access_token":"a","refresh_token":"r1-login-token"}'),
    );
    await new Promise<void>((resolve) => tokens.listen(0, '127.0.0.1', resolve));
    const address = tokens.address();
    const base = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    await mkdir(join(cwd, 'crm'));
    await writeFile(join(cwd, 'crm', 'index.ts'), CONNECTOR);
    const options = [`base_url=${base}`, 'client_id=id', 'client_secret=hush-hush-hush'].flatMap((text) => [
      '--option',
      text,
    ]);
    const created = await cli('create', 'crm', '--connector', './crm', ...options);
    expect(created).toMatchObject({status: 0, stderr: ''});
    expect(created.stdout).toContain('Log in next: sluice connections login crm');
    expect(await cli('test', 'crm')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('fix: Log in: sluice connections login crm') as string,
    });
    expect((await cli('test', 'crm')).status).toBe(1);

    const login = await loginAsBrowser();
    expect(login.status).toBe(0);
    expect(login.stdout).toContain('The refresh token is sealed as refresh_token of crm.');
    expect(login.stdout + login.stderr).not.toMatch(/r1-login|hush/);
    const trace = join(cwd, 'trace.har');
    const first = JSON.parse((await cli('test', 'crm', '--json', '--trace', 'trace.har')).stdout) as {tables: string[]};
    const second = JSON.parse((await cli('test', 'crm', '--json')).stdout) as {tables: string[]};
    expect([first.tables, second.tables]).toEqual([['r1-login-token'], ['r1-login-token+']]);
    expect(JSON.parse(await readFile(trace, 'utf8'))).toMatchObject({
      log: {entries: [{request: {url: `${base}/tables`}}]},
    });
    expect((await stat(trace)).mode & 0o777).toBe(0o600);
    // A new login forgets what rotated before.
    await loginAsBrowser();
    expect(JSON.parse((await cli('test', 'crm', '--json')).stdout)).toMatchObject({tables: ['r1-login-token']});
    tokens.close();
  });

  it('shows no credentials that stand in an address', async () => {
    await mkdir(join(cwd, 'crm'));
    await writeFile(join(cwd, 'crm', 'index.ts'), CONNECTOR);
    const address = 'http://robot:hunter2hunter2@127.0.0.1:1/api';
    const options = [`base_url=${address}`, 'client_id=c', 'refresh_token=r1'].flatMap((one) => ['--option', one]);
    await cli('create', 'prod', '--connector', './crm', ...options);
    await writeFile(
      join(cwd, 'sluice.yml'),
      `connection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connector: ./crm, options: {base_url: "${address}", client_id: c}}}\n`,
    );
    for (const name of ['prod', 'c']) {
      const {status, stdout} = await cli('show', name);
      expect(status).toBe(0);
      expect(stdout).not.toContain('hunter2');
      expect(stdout).toMatch(/base_url: (\*{8}|http:\/\/\*{3}@127\.0\.0\.1:1\/api)/);
    }
    const files = await readFile(join(cwd, '.sluice', 'connections', 'prod.json'), 'utf8');
    expect(files).not.toContain('hunter2');
  });

  it('gives a connector under development the login of a connection, and keeps the tokens that rotate', async () => {
    await mkdir(join(cwd, 'crm'));
    await writeFile(join(cwd, 'crm', 'index.ts'), CONNECTOR);
    const options = ['base_url=http://127.0.0.1:1', 'client_id=c', 'refresh_token=r1'].flatMap((one) => [
      '--option',
      one,
    ]);
    expect((await cli('create', 'prod', '--connector', './crm', ...options)).stderr).toBe('');
    const tables: string[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const dev = await run(['connector', 'dev', './crm', '--once', '--json', '--connection', 'prod'], {cwd, env});
      expect(dev.stderr).toBe('');
      tables.push(
        ...(JSON.parse(dev.stdout) as {readonly tables: {readonly table: string}[]}).tables.map(({table}) => table),
      );
    }
    const proof = await run(['connector', 'test', './crm', '--suite', 'generic', '--connection', 'prod', '--json'], {
      cwd,
      env,
    });
    expect(tables).toEqual(['r1', 'r1+']);
    expect(proof.stdout).toContain('r1++');
    expect((await cli('test', 'prod', '--json')).stdout).toMatch(/r1\+{4}/);
    await create('--option', 'password=p');
    const other = await run(['connector', 'dev', './crm', '--once', '--connection', 'shop'], {cwd, env});
    expect(other.stderr).toContain('Connection "shop" is one of connector "example", not of "crm".');
    expect(other.status).toBe(2);
  });
});

/** Runs the login and answers as the vendor's page would, at the address that the command prints. */
async function loginAsBrowser(): Promise<TestEnd> {
  const {commandContext} = await import('./command-context.ts');
  const {connectionsLoginCommand} = await import('./commands/connections.ts');
  const {recordedOutput} = await import('./io.support.test.ts');
  const stdout = recordedOutput();
  const stderr = recordedOutput();
  const io = {
    stdout,
    stderr: {
      ...stderr,
      write: (text: string): void => {
        stderr.write(text);
        const asked = new URL(/https?:\S+/.exec(text)?.[0] ?? 'http://nowhere');
        const back = new URL(asked.searchParams.get('redirect_uri') ?? '');
        back.searchParams.set('state', asked.searchParams.get('state') ?? '');
        back.searchParams.set('code', 'c');
        void fetch(back);
      },
    },
    env,
    cwd,
    onInterrupt: () => () => undefined,
    exit: () => undefined,
  };
  const none = (): never => {
    throw new Error('The login needs no runtime.');
  };
  const context = commandContext(io, {runtime: none, checkPipeline: none}, {});
  const status = await connectionsLoginCommand(context, 'crm', {browser: false});
  return {status, stdout: stdout.text(), stderr: stderr.text(), exits: []};
}
