import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {processEnvironment} from '../config/environment.ts';
import {
  deleteConnection,
  findStored,
  listStored,
  openStored,
  saveConnection,
  type StorePlace,
} from './connection-store.ts';
import {keyFile, makeKey} from './seal-key.ts';
import {seal, unseal} from './seal.ts';
import {forgetSecrets, sealedSecrets} from './sealed-secrets.ts';

const isSecret = (option: string): boolean => option === 'token';
const draft = (name: string, options: Record<string, string | readonly string[]>) => ({
  name,
  connector: 'crm',
  options,
  isSecret,
  nowMs: 0,
});

let folder = '';
let place: StorePlace;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'store-'));
  place = {home: join(folder, '.sluice'), env: {XDG_CONFIG_HOME: join(folder, 'config')}};
});
afterEach(() => rm(folder, {recursive: true, force: true}));

describe('seal', () => {
  const key = randomBytes(32);
  const at = {connection: 'a', name: 'token'};

  it('opens with its key, for its connection and option only', () => {
    const sealed = seal('hunter2', at, key);
    expect(unseal(sealed, at, key)).toBe('hunter2');
    expect(sealed).not.toBe(seal('hunter2', at, key));
    for (const wrong of [
      () => unseal(sealed, {...at, connection: 'b'}, key),
      () => unseal(sealed, {...at, name: 'other'}, key),
      () => unseal(sealed, at, randomBytes(32)),
      () => unseal(`${sealed.slice(0, -4)}AAAA`, at, key),
      () => unseal(sealed.slice(0, 20), at, key),
      () => unseal('v2.x.y', at, key),
    ])
      expect(wrong).toThrow(expect.objectContaining({code: 'MISSING_SECRET'}));
  });
});

describe('the key', () => {
  it('is made once, readable by its owner only', async () => {
    const keys = await Promise.all(Array.from({length: 8}, () => makeKey(place.env)));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect((await stat(keyFile(place.env))).mode & 0o777).toBe(0o600);
    expect(await readdir(join(folder, 'config', 'sluice'))).toEqual(['key']);
  });

  it('is refused when others may read it, and when it is no key', async () => {
    await mkdir(join(folder, 'config', 'sluice'), {recursive: true});
    await writeFile(keyFile(place.env), randomBytes(32).toString('base64'), {mode: 0o644});
    await expect(makeKey(place.env)).rejects.toMatchObject({code: 'INVALID_OPTION', fix: /chmod 600/});
    await expect(makeKey({SLUICE_KEY: 'c2hvcnQ='})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    const sentence = 'The quick brown fox jumps over the lazy dog and runs!a';
    expect(Buffer.from(sentence, 'base64')).toHaveLength(32);
    await expect(makeKey({SLUICE_KEY: sentence})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    const key = Buffer.alloc(32, 251);
    expect(await makeKey({SLUICE_KEY: key.toString('base64url')})).toEqual(key);
  });
});

describe('stored connections', () => {
  it('keep secrets sealed in files of their owner', async () => {
    await saveConnection(place, draft('crm', {token: 'hunter2', url: 'http://x', parts: ['a', 'b']}), 'create');
    const path = join(place.home, 'connections', 'crm.json');
    const text = await readFile(path, 'utf8');
    expect(text).not.toContain('hunter2');
    expect(text).toContain('http://x');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(join(place.home, '.gitignore'), 'utf8')).toBe('*\n');
    const stored = listStored(place)[0];
    expect(stored === undefined ? null : openStored(place, stored)).toEqual({
      name: 'crm',
      connector: 'crm',
      options: {token: 'hunter2', url: 'http://x', parts: ['a', 'b']},
      home: place.home,
    });
  });

  it('keep references, and read them when the connection is opened', async () => {
    const stored = await saveConnection(place, draft('crm', {token: '${env.TOKEN}', url: '$${env.X}'}), 'create');
    expect(stored).toMatchObject({options: {token: '${env.TOKEN}'}, sealed: {}});
    expect(() => openStored(place, stored)).toThrow(
      expect.objectContaining({code: 'MISSING_SECRET', message: expect.stringContaining('TOKEN is not set') as string}),
    );
    expect(openStored({...place, env: {TOKEN: 'x$&${env.TOKEN}'}}, stored).options).toEqual({
      token: 'x$&${env.TOKEN}',
      url: '${env.X}',
    });
  });

  it('do not take the place of another unless told so', async () => {
    await saveConnection(place, draft('crm', {token: 'one'}), 'create');
    await expect(saveConnection(place, draft('crm', {token: 'two'}), 'create')).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await saveConnection(place, draft('crm', {token: 'three'}), 'replace');
    const stored = findStored(place, 'crm');
    expect(stored === null ? null : openStored(place, stored).options).toEqual({token: 'three'});
  });

  it('are refused under names that are no file names, and never looked for elsewhere', async () => {
    for (const name of ['../x', 'a/b', '', '.a', 'a b']) {
      await expect(saveConnection(place, draft(name, {}), 'create')).rejects.toMatchObject({code: 'INVALID_OPTION'});
      expect(findStored(place, name)).toBeNull();
    }
  });

  it('cannot be moved to another name or option by changing the file', async () => {
    await saveConnection(place, draft('crm', {token: 'hunter2'}), 'create');
    const path = join(place.home, 'connections', 'crm.json');
    await writeFile(
      join(place.home, 'connections', 'evil.json'),
      (await readFile(path, 'utf8')).replace('"crm"', '"evil"'),
    );
    const moved = findStored(place, 'evil');
    expect(() => (moved === null ? null : openStored(place, moved))).toThrow(
      expect.objectContaining({code: 'MISSING_SECRET'}),
    );
    await writeFile(path, '{"hunter2');
    expect(() => findStored(place, 'crm')).toThrow(expect.objectContaining({code: 'INVALID_SPEC'}));
  });

  it('are deleted with what they kept', async () => {
    await saveConnection(place, draft('crm', {token: 'x'}), 'create');
    const secrets = sealedSecrets({...place, connection: 'crm'});
    await secrets.replace('token', null, 'rotated');
    expect(await deleteConnection(place, 'crm')).toBe(true);
    expect(await deleteConnection(place, 'crm')).toBe(false);
    expect(await secrets.get('token')).toBeNull();
    expect(await readdir(join(place.home, 'connections'))).toEqual([]);
  });
});

describe('secrets that change by themselves', () => {
  it('are replaced only when they are what the writer thinks', async () => {
    const secrets = sealedSecrets({...place, connection: 'a b/ü'});
    expect(await secrets.get('refresh_token')).toBeNull();
    expect(await secrets.replace('refresh_token', 'x', 'one')).toBe(false);
    expect(await secrets.replace('refresh_token', null, 'one')).toBe(true);
    expect(await secrets.replace('refresh_token', null, 'two')).toBe(false);
    expect(await secrets.replace('refresh_token', 'one', 'two')).toBe(true);
    expect(await secrets.get('refresh_token')).toBe('two');
    expect(await secrets.replace('other/name', null, 'x')).toBe(true);
    await forgetSecrets({...place, connection: 'a b/ü'});
    expect([await secrets.get('refresh_token'), await secrets.get('other/name')]).toEqual([null, null]);
    expect(await secrets.replace('refresh_token', null, 'three')).toBe(true);
  });

  it('do not fill the folder', async () => {
    const secrets = sealedSecrets({...place, connection: 'c'});
    for (let step = 0; step < 12; step += 1)
      expect(await secrets.replace('t', step === 0 ? null : `v${step - 1}`, `v${step}`)).toBe(true);
    const names = await readdir(join(place.home, 'secrets', 'c'));
    expect(names.length).toBeLessThanOrEqual(5);
    expect((await readFile(join(place.home, 'secrets', 'c', 't.12.json'), 'utf8')).includes('v11')).toBe(false);
  });

  it('lose nothing and count nothing twice when processes race and one is killed', async () => {
    const [processes, steps] = [3, 12];
    const env = {...place.env, RACE_HOME: place.home, RACE_STEPS: String(steps)};
    const [killed = 0, ...wins] = await Promise.all(
      Array.from({length: processes + 1}, (_, index) => raceInProcess(env, index === 0 ? 4 : Infinity)),
    );
    expect(wins).toEqual(wins.map(() => steps));
    // Every win added one to the counter; the one that was killed may have won once more than it told.
    const count = Number(await sealedSecrets({...place, connection: 'race'}).get('counter'));
    const known = wins.reduce((sum, won) => sum + won, killed);
    expect([known, known + 1]).toContain(count);
  }, 30_000);

  it('survive a writer that was killed between its steps', async () => {
    const secrets = sealedSecrets({...place, connection: 'c'});
    await secrets.replace('t', null, 'one');
    const at = join(place.home, 'secrets', 'c');
    // What a killed writer leaves: a file beside that was never linked.
    await writeFile(join(at, 't.2.json.00000000-0000-4000-8000-000000000000.tmp'), '{"version":2,"sea');
    expect(await secrets.get('t')).toBe('one');
    expect(await secrets.replace('t', 'one', 'two')).toBe(true);
    expect(await secrets.get('t')).toBe('two');
  });
});

/** Adds one to a counter some times, by compare and swap; resolves to the number of wins that it told, killed after `killAfter` of them. */
function raceInProcess(env: Readonly<Record<string, string | undefined>>, killAfter: number): Promise<number> {
  const program = `
    import {writeSync} from 'node:fs';
    import {sealedSecrets} from ${JSON.stringify(fileURLToPath(new URL('./sealed-secrets.ts', import.meta.url)))};
    const env = process.env;
    const secrets = sealedSecrets({home: env.RACE_HOME, connection: 'race', env});
    for (let wins = 0; wins < Number(env.RACE_STEPS); ) {
      const now = await secrets.get('counter');
      if (!(await secrets.replace('counter', now, String(Number(now ?? '0') + 1)))) continue;
      wins += 1;
      writeSync(1, '.');
    }
  `;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
      env: {...processEnvironment(), ...env},
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let wins = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      wins += chunk.length;
      if (wins >= killAfter) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', (code, signal) =>
      code === 0 || signal === 'SIGKILL' ? resolve(wins) : reject(new Error(`ended with ${code}`)),
    );
  });
}
