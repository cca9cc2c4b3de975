import {spawnSync} from 'node:child_process';
import {mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import {restDocumentProof} from '../../testkit/document-proof.ts';
import {connectorCases, type ConnectorProof} from '../../testkit/index.ts';
import {failureOf} from './author.support.test.ts';
import {buildConnector} from './build-connector.ts';
import {loadProof, loadTarget, resolveTarget} from './connector-target.ts';
import {writeScaffold, type ScaffoldKind} from './scaffold.ts';

const KINDS: readonly ScaffoldKind[] = ['rest', 'sdk', 'database', 'files', 'yaml'];
const repository = fileURLToPath(new URL('../../..', import.meta.url));
const tsc = join(repository, 'node_modules/.bin/tsc');

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-new-'));
  for (const kind of KINDS) await writeScaffold(`acme_${kind}`, {kind, folder: join(root, `acme_${kind}`)});
});
afterAll(() => rm(root, {recursive: true, force: true}));

const proofOf = async (kind: ScaffoldKind): Promise<ConnectorProof> => {
  const target = await resolveTarget(`./acme_${kind}`, root);
  const loaded = await loadProof(target);
  if (loaded !== null) return loaded.proof as ConnectorProof;
  const {definition} = await loadTarget(target, root);
  const [simulator, proof] = await Promise.all(
    ['simulator.yml', 'proof.yml'].map(async (name) => parse(await readFile(join(root, `acme_${kind}`, name), 'utf8'))),
  );
  return restDocumentProof({connector: definition, simulator, proof}, 'proof.yml');
};

describe('a connector made by `connector new`', () => {
  it('compiles as its own tsconfig demands', async () => {
    // Against the declarations of Sluice, as in a project that installed it: its own code is checked elsewhere.
    const types = join(root, 'types');
    const emit = [
      '--declaration',
      '--emitDeclarationOnly',
      '--noCheck',
      '--sourceMap',
      'false',
      '--inlineSources',
      'false',
    ];
    spawnSync(tsc, ['-p', 'tsconfig.build.json', ...emit, '--outDir', types], {cwd: repository});
    const doors = Object.fromEntries(
      ['sdk', 'simulator', 'testkit'].map((room) => [`sluice/${room}`, [join(types, room, 'index.d.ts')]]),
    );
    await writeFile(
      join(root, 'tsconfig.json'),
      JSON.stringify({
        extends: './acme_rest/tsconfig.json',
        compilerOptions: {paths: doors},
        include: ['*/*.ts'],
      }),
    );
    await symlink(join(repository, 'node_modules'), join(root, 'node_modules'));
    const check = spawnSync(tsc, ['-p', '.'], {cwd: root, encoding: 'utf8'});
    expect({status: check.status, told: check.stdout}).toEqual({status: 0, told: ''});
  }, 90_000);

  // All suites, faults included: from rest in the walk through the guide, src/cli/guide.test.ts, from database when it is
  // published, src/cli/connector.test.ts.
  it.each([
    ['sdk', 'all'],
    ['files', 'generic'],
    ['yaml', 'generic'],
  ] as const)(
    'from %s passes the suites untouched (%s)',
    async (kind, suite) => {
      const cases = connectorCases(await proofOf(kind), {suite}).filter((one) => one.excluded === undefined);
      expect(cases.length).toBeGreaterThan(20);
      const failures: string[] = [];
      for (const one of cases) await one.run().catch((error: Error) => failures.push(`${one.name}: ${error.message}`));
      expect(failures).toEqual([]);
    },
    120_000,
  );

  it.each(KINDS)('from %s is built into one file', async (kind) => {
    const {manifest, sizeBytes} = await buildConnector(join(root, `acme_${kind}`), join(root, 'built', kind));
    expect(manifest.name).toBe(`acme_${kind}`);
    expect(sizeBytes).toBeLessThan(100_000);
  });

  it('never overwrites a folder, and wants a plain name', async () => {
    expect(
      await failureOf(writeScaffold('other', {kind: 'database', folder: join(root, 'acme_database')}), root),
    ).toMatchObject({
      code: 'INVALID_OPTION',
      message: 'The folder /acme_database holds files already; none is overwritten.',
    });
    for (const name of ['Acme', 'a b', '../x', '_x', 'class'])
      expect(await failureOf(writeScaffold(name, {kind: 'database', folder: join(root, 'x')}), root)).toMatchObject({
        code: 'INVALID_OPTION',
      });
  });
});
