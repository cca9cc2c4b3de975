import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {IngestError} from '../../core/errors.ts';
import {sdkRange, sdkVersion} from './sluice-doors.ts';

/** What a new connector reads. */
export type ScaffoldKind = 'rest' | 'sdk' | 'database' | 'files' | 'yaml';

/** Each kind is a whole connector called my_source, which passes its suites as it lies there. */
const TEMPLATES = new URL('../../../templates/connector/', import.meta.url);

/** Folders that make up a kind; files of later ones replace those of earlier ones. */
const PARTS: Readonly<Record<ScaffoldKind, readonly string[]>> = {
  rest: ['common', 'http', 'rest'],
  sdk: ['common', 'http', 'sdk'],
  database: ['common', 'database'],
  files: ['common', 'files'],
  yaml: ['yaml'],
};

/**
 * Writes a folder with a connector of that name. Gives the files by name, sorted.
 * @throws INVALID_OPTION for a name that no connector can have, or a folder that holds files
 */
export async function writeScaffold(
  name: string,
  request: {readonly kind: ScaffoldKind; readonly folder: string},
): Promise<readonly string[]> {
  checkName(name);
  const {folder, kind} = request;
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (there.length > 0)
    throw new IngestError('INVALID_OPTION', `The folder ${folder} holds files already; none is overwritten.`, {
      fix: 'Name another: --folder FOLDER',
      context: {path: folder},
    });
  const files = await scaffoldFiles(name, kind);
  await mkdir(folder, {recursive: true});
  try {
    for (const [file, text] of files) await writeFile(join(folder, file), text, {flag: 'wx'});
  } catch (error) {
    for (const [file] of files) await rm(join(folder, file), {force: true});
    throw error;
  }
  return [...files.keys()];
}

/** The files of a new connector, by name. */
export async function scaffoldFiles(name: string, kind: ScaffoldKind): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const part of PARTS[kind]) {
    const folder = fileURLToPath(new URL(`${part}/`, TEMPLATES));
    for (const file of await readdir(folder)) {
      const text = await readFile(join(folder, file), 'utf8');
      files.set(fileName(file, name), filledIn(text, name));
    }
  }
  return new Map([...files].sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** npm leaves files called .gitignore out of packages, so that the template has another name. */
function fileName(file: string, name: string): string {
  return file === 'gitignore' ? '.gitignore' : file.replace('my_source', name);
}

function filledIn(text: string, name: string): string {
  const words = name.split(/[-_]/).filter((word) => word !== '');
  const [first = name, ...others] = words;
  const camel = first + others.map(capitalized).join('');
  return text
    .replaceAll('__sdk_range__', sdkRange(sdkVersion()))
    .replaceAll('my_source', name)
    .replaceAll('mySource', camel)
    .replaceAll('MySource', capitalized(camel))
    .replaceAll('My source', capitalized(words.join(' ')));
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function checkName(name: string): void {
  if (/^[a-z][a-z0-9]*([_-][a-z0-9]+)*$/.test(name) && !RESERVED.has(name)) return;
  throw new IngestError('INVALID_OPTION', `"${name}" cannot be the name of a connector.`, {
    fix: 'Use lower case letters and digits, words joined by "_" or "-", for example acme_crm.',
    context: {connector: name},
  });
}

/** Names that would clash with what the files of a new connector import, or with words of the language. */
const RESERVED: ReadonlySet<string> = new Set([
  'default',
  'class',
  'function',
  'new',
  'return',
  'delete',
  'import',
  'export',
  'const',
  'let',
  'var',
  'if',
  'else',
  'for',
  'in',
  'do',
  'while',
  'switch',
  'case',
  'try',
  'catch',
  'throw',
  'this',
  'null',
  'true',
  'false',
  'void',
  'with',
  'yield',
  'await',
  'async',
  'enum',
  'super',
  'static',
  'typeof',
  'start',
  'options',
  'connector',
  'simulate',
  'sluice',
  'test',
  'index',
]);
