import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join, relative, resolve} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {buildConnector, type BuiltConnector} from '../../runtime/author/build-connector.ts';
import {entryOf} from '../../runtime/author/load-connector.ts';
import {packConnector} from '../../runtime/author/pack-connector.ts';
import {packageOf} from '../../runtime/author/package-folder.ts';
import {checkVersion, writeIndexEntry, type IndexEntry, type Maturity} from '../../runtime/author/registry-index.ts';
import type {ConnectorProof} from '../../testkit/connector-proof.ts';
import {
  interruptible,
  OK,
  printJson,
  printLines,
  silently,
  type CommandContext,
  type CommonFlags,
} from '../command-context.ts';
import {proofOf} from '../connector-proof.ts';
import {countText, sizeText} from '../plain-words.ts';

/** Flags of `sluice connector build`. */
export interface ConnectorBuildFlags extends CommonFlags {
  readonly out?: string;
}

/** Flags of `sluice connector publish`. */
export interface ConnectorPublishFlags extends ConnectorBuildFlags {
  readonly index?: string;
  readonly maturity: Maturity;
  readonly owner?: string;
}

/** Puts a connector into one file with a manifest. */
export async function connectorBuildCommand(
  context: CommandContext,
  path: string,
  flags: ConnectorBuildFlags,
): Promise<number> {
  const {cwd} = context.io;
  const built = await buildConnector(resolve(cwd, path), flags.out === undefined ? undefined : resolve(cwd, flags.out));
  const {name, version, sdk, sha256} = built.manifest;
  const folder = relative(cwd, built.folder) || '.';
  if (flags.json === true) printJson(context, {name, version, sdk, sha256, folder, sizeBytes: built.sizeBytes});
  else if (flags.quiet !== true)
    printLines(context, [
      `Built ${name} ${version} for sluice/sdk ${sdk}: ${join(folder, 'index.js')} (${sizeText(built.sizeBytes)})`,
      `sha256 ${sha256}`,
    ]);
  return OK;
}

/** Runs the suites, builds, packs and writes the entry of an index; nothing is written when a case fails. */
export async function connectorPublishCommand(
  context: CommandContext,
  path: string,
  flags: ConnectorPublishFlags,
): Promise<number> {
  const {cwd} = context.io;
  const place = resolve(cwd, path);
  const found = await proofOf({kind: 'path', path: place, added: null});
  if (found === null)
    throw new IngestError('INVALID_CONNECTOR', `${path} has no simulator, so that nothing proves it.`, {
      fix: 'Add simulator.ts with a proof beside it: see docs/write-a-connector.md.',
    });
  const folder = dirname(await entryOf(place));
  const owner = flags.owner ?? (await authorOf(folder));
  const index = resolve(cwd, flags.index ?? 'registry.json');
  const built = await buildConnector(place);
  await checkVersion(index, built.manifest);
  const tests = await interruptible(context, silently, (signal) => prove(context, found.proof, signal));
  const packed = await packConnector(folder, built);
  const out = flags.out === undefined ? dirname(index) : resolve(cwd, flags.out);
  const entry = entryFor(built, {proof: found.proof, maturity: flags.maturity, owner, tests, packed});
  await mkdir(out, {recursive: true});
  await writeFile(join(out, packed.file), packed.bytes);
  await writeIndexEntry(index, entry);
  if (flags.json === true) printJson(context, {index: relative(cwd, index), entry});
  else if (flags.quiet !== true)
    printLines(context, [
      `${entry.name} ${entry.version} (${entry.maturity}, ${entry.owner}) passed ${countText(tests.passed)} cases.`,
      `Packed ${relative(cwd, join(out, packed.file))} (${sizeText(packed.bytes.length)}), listed in ${relative(cwd, index)}.`,
    ]);
  return OK;
}

const SEED = 1;
/** A line of progress at most so often. */
const TELL_EVERY_MS = 2_000;

/** Runs every case. @throws CONTRACT_VIOLATION at the first that fails */
async function prove(
  context: CommandContext,
  proof: ConnectorProof,
  signal: AbortSignal,
): Promise<IndexEntry['tests']> {
  const [{connectorCases}, {runConnectorCases}] = await Promise.all([
    import('../../testkit/connector-cases.ts'),
    import('../../testkit/run-connector-cases.ts'),
  ]);
  const cases = connectorCases(proof, {seed: SEED, signal});
  const isShown = context.flags.quiet !== true && context.flags.json !== true;
  let ended = 0;
  let toldAt = performance.now();
  const {passed, excluded, results} = await runConnectorCases(cases, {
    signal,
    stopsAtFailure: true,
    onResult: () => {
      ended++;
      if (!isShown || performance.now() - toldAt < TELL_EVERY_MS) return;
      toldAt = performance.now();
      context.io.stderr.write(`${ended} of ${cases.length} cases\n`);
    },
  });
  const first = results.find(({state}) => state === 'failed');
  if (first === undefined) return {passed, excluded, seed: SEED};
  throw new IngestError(
    'CONTRACT_VIOLATION',
    `The case "${first.name}" fails: ${(first.reason ?? '').replace(/\.$/, '')}.`,
    {
      fix: `${first.fix ?? ''} See all that fails: sluice connector test PATH`.trim(),
    },
  );
}

function entryFor(
  {manifest, definition}: BuiltConnector,
  parts: Pick<IndexEntry, 'maturity' | 'owner' | 'tests'> & {
    readonly proof: ConnectorProof;
    readonly packed: {readonly file: string; readonly sha256: string};
  },
): IndexEntry {
  const {name, version, sdk, sha256, spec} = manifest;
  const {maturity, owner, tests, packed, proof} = parts;
  return {
    name,
    version,
    displayName: definition.spec.displayName,
    description: definition.spec.description,
    maturity,
    owner,
    sdk,
    sha256,
    package: {file: packed.file, sha256: packed.sha256},
    auth: Object.keys(spec.authMethods ?? {}),
    tables: Object.keys(proof.tables),
    tests,
  };
}

/** `author` of package.json. @throws INVALID_OPTION when nobody is named */
async function authorOf(folder: string): Promise<string> {
  const author = (await packageOf(folder))?.['author'];
  if (typeof author === 'string' && author.trim() !== '') return author;
  if (typeof author === 'object' && author !== null && 'name' in author && typeof author.name === 'string')
    return author.name;
  throw new IngestError('INVALID_OPTION', 'Nobody answers for the connector.', {
    fix: 'Name its owner: --owner NAME, or author in package.json.',
  });
}
