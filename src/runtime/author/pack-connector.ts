import {readFile, stat} from 'node:fs/promises';
import {join, relative, sep} from 'node:path';

import {gzipSync} from 'fflate';

import {IngestError} from '../../core/errors.ts';
import type {BuiltConnector} from './build-connector.ts';
import {sha256Of} from './build-manifest.ts';
import {packageOf} from './package-folder.ts';

/** A package as npm packs one. */
export interface PackedConnector {
  /** For example `sluice-my-api-1.0.0.tgz`. */
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

/** Documents that go into the package beside the built file. */
const DOCUMENTS = ['README.md', 'API.md', 'LICENSE', 'CHANGELOG.md'];

/** Packs a built connector with its documents in npm's layout; equal files give equal bytes. Sources stay at home. */
export async function packConnector(folder: string, built: BuiltConnector): Promise<PackedConnector> {
  const {name, version} = built.manifest;
  const inPackage = relative(folder, built.folder).split(sep).join('/');
  const place = inPackage.startsWith('..') ? `dist/${name}` : inPackage;
  const own = (await packageOf(folder)) ?? {name: `sluice-${name}`, version};
  const manifest = {
    ...own,
    type: 'module',
    main: `./${place}/index.js`,
    exports: {'.': `./${place}/index.js`, './package.json': './package.json'},
    peerDependencies: {sluice: built.manifest.sdk},
  };
  const files: [string, Uint8Array][] = [
    ['package.json', Buffer.from(`${JSON.stringify(withoutDevelopment(manifest), null, 2)}\n`)],
    [`${place}/index.js`, await readFile(join(built.folder, 'index.js'))],
    [`${place}/manifest.json`, await readFile(join(built.folder, 'manifest.json'))],
  ];
  for (const document of DOCUMENTS) {
    const path = join(folder, document);
    if ((await stat(path).catch(() => null))?.isFile() === true) files.push([document, await readFile(path)]);
  }
  files.sort(([left], [right]) => (left < right ? -1 : 1));
  const bytes = gzipSync(tarOf(files), {level: 9, mtime: 0});
  const packageName = typeof own['name'] === 'string' ? own['name'] : `sluice-${name}`;
  return {file: `${packageName.replace(/^@/, '').replaceAll('/', '-')}-${version}.tgz`, bytes, sha256: sha256Of(bytes)};
}

/** What its users need not install: the code is in the file. */
function withoutDevelopment(manifest: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const left = new Set(['dependencies', 'devDependencies', 'scripts', 'private', 'files']);
  return Object.fromEntries(Object.entries(manifest).filter(([key]) => !left.has(key)));
}

const BLOCK = 512;
/** The time that npm gives all files: packages do not tell when they were made. */
const MTIME_SECONDS = 499_162_500;

/** A tar archive in the ustar form, below `package/`. */
function tarOf(files: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const blocks = files.flatMap(([name, bytes]) => [header(`package/${name}`, bytes.length), padded(bytes)]);
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(name: string, size: number): Uint8Array {
  if (Buffer.byteLength(name) > 100)
    throw new IngestError('INVALID_CONNECTOR', `The path ${name} is too long for a package.`, {
      fix: 'Shorten the name.',
    });
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  block.write(name, 0);
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(MTIME_SECONDS, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write('0', 156);
  block.write('ustar\0' + '00', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}
