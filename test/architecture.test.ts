import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {dirname, join, relative, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

import {describe, expect, it} from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

/** Static and dynamic imports and re-exports, types included. */
const IMPORT = /^(?:import|export)\b[^'"`;=]*\bfrom\s+'([^'\n]+)'|^import\s+'([^'\n]+)'|\bimport\(\s*'([^'\n]+)'/gm;

type RoomTable = Readonly<Record<string, readonly string[]>>;
const rooms = JSON.parse(read('scripts/rooms.json')) as RoomTable;

interface Import {
  readonly file: string;
  readonly specifier: string;
  /** The file that a relative specifier names, relative to src; null for packages. */
  readonly target: string | null;
  /** Loaded with the file: neither types only nor `import()`. */
  readonly isEager: boolean;
}

const files = sources();
const imports = files.flatMap(importsOf);

describe('rooms', () => {
  it('are the folders of src', () => {
    expect(subfolders(src)).toEqual(Object.keys(rooms).sort());
  });

  it('stand in ARCHITECTURE.md as in scripts/rooms.json', () => {
    expect(roomsOfDocument(read('ARCHITECTURE.md'))).toEqual(rooms);
  });

  it('have a README each', () => {
    expect(Object.keys(rooms).filter((room) => !existsSync(join(src, room, 'README.md')))).toEqual([]);
  });

  it('import only what the table allows', () => {
    const broken = imports.filter(({file, target}) => target !== null && !mayImport(roomOf(file), roomOf(target)));
    expect(broken.filter(({file, target}) => !isProof(file, target ?? '')).map(arrow)).toEqual([]);
  });

  it('import DuckDB in engine only', () => {
    const broken = imports.filter(({file, specifier}) => specifier.startsWith('@duckdb/') && roomOf(file) !== 'engine');
    expect(broken.map(arrow)).toEqual([]);
  });

  it('read the environment in runtime/config only', () => {
    const readers = files.filter(
      (file) => !file.startsWith('runtime/config/') && withoutComments(file).includes('process.env'),
    );
    expect(readers).toEqual([]);
  });
});

describe('connectors', () => {
  const folders = subfolders(join(src, 'connectors'));

  it('are listed in connectors/index.ts, folder by folder', () => {
    const listed = imports.filter(({file}) => file === 'connectors/index.ts').map(({specifier}) => specifier);
    const connectors = listed.flatMap((specifier) => /^\.\/([^/]+)\/index\.ts$/.exec(specifier)?.[1] ?? []);
    expect([...new Set(connectors)].sort()).toEqual(folders);
  });

  it('are flat folders with a README', () => {
    expect(folders.filter((name) => subfolders(join(src, 'connectors', name)).length > 0)).toEqual([]);
    expect(folders.filter((name) => !existsSync(join(src, 'connectors', name, 'README.md')))).toEqual([]);
  });

  it('do not load their simulators', () => {
    const loaded = imports.filter(
      ({file, target}) => /^connectors\/[^/]+\/simulator/.test(target ?? '') && !/\/simulator/.test(file),
    );
    expect(loaded.filter(({isEager}) => isEager).map(arrow)).toEqual([]);
  });

  it('import the SDK by its one door and never each other', () => {
    // The two lists of the room name what is in its folders.
    const lists = ['connectors/index.ts', 'connectors/simulators.ts'];
    const inside = imports.filter(({file}) => file.startsWith('connectors/') && !lists.includes(file));
    const broken = inside.filter(
      ({file, target}) =>
        target !== null &&
        ((roomOf(target) === 'sdk' && target !== 'sdk/index.ts') ||
          (roomOf(target) === 'connectors' && dirname(target) !== dirname(file))),
    );
    expect(broken.map(arrow)).toEqual([]);
  });
});

describe('sources', () => {
  it('have no import cycle', () => {
    expect(cycles(imports.filter(({isEager}) => isEager))).toEqual([]);
  });

  it('have at most 600 lines', () => {
    expect(typescriptFiles().filter((file) => lineCount(file) > 600)).toEqual([]);
  });

  it('follow signals by LinkedAbort: those of AbortSignal.any stay in memory as long as their parent on Node 20', () => {
    expect(files.filter((file) => /AbortSignal\s*\.\s*any\b/.test(withoutComments(file)))).toEqual([]);
  });

  it('import only packages that a user of Sluice installs', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
    const declared = [
      ...Object.keys(manifest['dependencies'] ?? {}),
      ...Object.keys(manifest['peerDependencies'] ?? {}),
    ];
    const undeclared = imports.filter(
      ({specifier, target}) =>
        target === null && !specifier.startsWith('node:') && !declared.includes(packageOf(specifier)),
    );
    expect(undeclared.map(arrow)).toEqual([]);
  });
});

describe('package.json', () => {
  it('exports entry points that exist', () => {
    const {exports} = JSON.parse(read('package.json')) as {exports: Record<string, string | Record<string, string>>};
    const targets = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : Object.values(entry)));
    const entryFiles = targets.map((target) => target.replace('./dist/', 'src/').replace(/(\.d\.ts|\.js)$/, '.ts'));
    expect(entryFiles.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  it('documents every entry point', () => {
    const {exports} = JSON.parse(read('package.json')) as {exports: Record<string, string | {types?: string}>};
    const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.types ?? '']));
    const {entryPoints} = JSON.parse(read('typedoc.json')) as {entryPoints: string[]};
    expect(entryPoints).toEqual(entries.map((entry) => entry.replace('./dist/', 'src/').replace('.d.ts', '.ts')));
  });
});

function read(name: string): string {
  return readFileSync(join(root, name), 'utf8');
}

function subfolders(folder: string): string[] {
  const entries = readdirSync(folder, {withFileTypes: true}).filter((entry) => entry.isDirectory());
  return entries.map((entry) => entry.name).sort();
}

function typescriptFiles(): string[] {
  const names = readdirSync(src, {recursive: true, encoding: 'utf8'});
  return names.filter((name) => name.endsWith('.ts')).sort();
}

function sources(): string[] {
  return typescriptFiles().filter((file) => !file.endsWith('.test.ts'));
}

function withoutComments(file: string): string {
  return readFileSync(join(src, file), 'utf8').replaceAll(/^\s*(\/\*\*?.*|\*.*|\/\/.*)$/gm, '');
}

function lineCount(file: string): number {
  return readFileSync(join(src, file), 'utf8').trimEnd().split('\n').length;
}

function importsOf(file: string): Import[] {
  const found = withoutComments(file).matchAll(IMPORT);
  return [...found].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const target = specifier.startsWith('.') ? relative(src, resolve(src, dirname(file), specifier)) : null;
    const isEager = match[3] === undefined && !/^(?:import|export) type\b/.test(match[0]);
    return {file, specifier, target, isEager};
  });
}

/** The room of a file; the empty text for src/index.ts, the package's front door. */
function roomOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

function mayImport(from: string, to: string): boolean {
  return from === to || from === '' || (rooms[from]?.includes(to) ?? false);
}

/** What proves a connector: its simulator, which the connector itself never loads. */
function isProof(file: string, target: string): boolean {
  return (
    /^connectors\/[^/]+\/simulator[^/]*\.ts$/.test(file) && ['core', 'simulator', 'testkit'].includes(roomOf(target))
  );
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function arrow({file, specifier}: Import): string {
  return `${file} -> ${specifier}`;
}

/** Reads the first table of ARCHITECTURE.md whose header starts with "Room". */
function roomsOfDocument(text: string): RoomTable {
  const lines = text.split('\n');
  const rows = lines.slice(lines.findIndex((line) => /^\| Room\b/.test(line)) + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  const cells = rows.slice(0, end).map((line) => line.split('|').map((cell) => cell.trim()));
  return Object.fromEntries(
    cells.map(([, room = '', , may = '']) => [room, may === '-' ? [] : may.split(',').map((name) => name.trim())]),
  );
}

/** One cycle per entry, as the list of its files; empty when there is none. */
function cycles(all: readonly Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const {file, target} of all) {
    if (target !== null) next.set(file, [...(next.get(file) ?? []), target]);
  }
  const done = new Set<string>();
  const found: string[][] = [];
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file]);
    if (at >= 0 || done.has(file)) return;
    for (const target of next.get(file) ?? []) walk(target, [...path, file]);
    done.add(file);
  };
  for (const file of next.keys()) walk(file, []);
  return found;
}
