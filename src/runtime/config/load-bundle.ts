import {readFile, stat} from 'node:fs/promises';
import {basename, dirname, extname, relative, resolve} from 'node:path';

import {IngestError, messageOf} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import {BUNDLE_KEYS, BUNDLE_MARKS, HOME_KEYS, SINGLE_FILE_KEYS} from './bundle-shapes.ts';
import {childOf, pathOfKey, problemError, type ConfigEntry, type ConfigMap, type ConfigNode} from './config-node.ts';
import {includedFiles, isWild} from './include-files.ts';
import {mergeNodes} from './merge.ts';
import {parseConfig} from './parse-config.ts';
import {looksManaged} from './spec-shapes.ts';

/** The names that are looked for, in this order, when no file is named. */
export const DEFAULT_FILES: readonly string[] = ['sluice.yml', 'sluice.yaml', 'databricks.yml', 'databricks.yaml'];

/** A configuration file with what it includes, in the form of a bundle whatever it was written as. */
export interface LoadedFile {
  /** As messages name it: relative to the working folder when it is below it. */
  readonly file: string;
  /** Folder of the file: relative paths in it start here. */
  readonly folder: string;
  readonly root: ConfigMap;
  /** The path of a value as the file has it, from its path in `root`. */
  readonly writtenPath: (path: string) => string;
}

/**
 * Finds and reads the file and all files that it includes.
 * @throws INVALID_SPEC when there is no file, it cannot be read, it is malformed or no form that Sluice knows.
 */
export async function loadFile(file: string | undefined, cwd: string): Promise<LoadedFile> {
  const path = await locate(file, cwd);
  const shown = shownPath(path, cwd);
  return loadedFrom(await readConfig(path, shown), {path, shown, cwd});
}

/** The same from plain data instead of a file; messages call it `spec`, its pipeline is `ingest` unless it says otherwise. */
export async function loadData(data: object, cwd: string): Promise<LoadedFile> {
  const text = JSON.stringify(data, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
  return loadedFrom(parseConfig(text, 'spec'), {path: resolve(cwd, 'ingest.json'), shown: 'spec', cwd});
}

async function loadedFrom(
  node: ConfigNode,
  {path, shown, cwd}: {readonly path: string; readonly shown: string; readonly cwd: string},
): Promise<LoadedFile> {
  if (node.kind !== 'map')
    throw problemError({code: 'INVALID_SPEC', path: '', place: node.place, message: 'expected a mapping', fix: FORMS});
  const loaded = {file: shown, folder: dirname(path)};
  if (!BUNDLE_MARKS.some((key) => node.entries.has(key))) return {...loaded, ...asBundle(node, keyOf(path))};
  return {...loaded, root: await withIncludes(node, loaded.folder, cwd), writtenPath: (path) => path};
}

/** The file that is read when none is named; null when there is none of those names. */
export async function findFile(folder: string): Promise<string | null> {
  for (const name of DEFAULT_FILES) {
    const path = resolve(folder, name);
    const found = await stat(path).catch(() => null);
    if (found?.isFile() === true) return path;
  }
  return null;
}

/** The file that is meant; a folder stands for the file in it. */
async function locate(file: string | undefined, cwd: string): Promise<string> {
  const named = resolve(cwd, file ?? '.');
  const isFolder = file === undefined || (await stat(named).catch(() => null))?.isDirectory() === true;
  if (!isFolder) return named;
  const found = await findFile(named);
  if (found !== null) return found;
  throw new IngestError('INVALID_SPEC', `There is no sluice.yml or databricks.yml in ${named}.`, {
    fix: 'Run "sluice init" to make one, or name a file.',
    context: {path: named},
  });
}

async function readConfig(path: string, shown: string): Promise<ConfigNode> {
  try {
    return parseConfig(await readFile(path, 'utf8'), shown);
  } catch (error) {
    if (error instanceof IngestError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new IngestError(
      'INVALID_SPEC',
      missing ? `There is no file ${shown}.` : `The file ${shown} cannot be read: ${messageOf(error)}.`,
      {
        fix: missing ? 'Name a file that exists, or run "sluice init" to make one.' : 'Make it readable.',
        context: {path: shown},
        cause: error,
      },
    );
  }
}

async function withIncludes(root: ConfigMap, folder: string, cwd: string): Promise<ConfigMap> {
  const include = childOf(root, 'include');
  if (include?.kind !== 'list') return root;
  let merged: ConfigNode = root;
  const done = new Set<string>();
  for (const [index, item] of include.items.entries()) {
    const pattern = item.kind === 'scalar' && typeof item.value === 'string' ? item.value : null;
    if (pattern === null || pattern.trim() === '') continue;
    const files = await includedFiles(folder, pattern);
    if (files.length === 0 && !isWild(pattern)) throw nothingIncluded(item, `include[${index}]`, pattern);
    for (const file of files) {
      if (done.has(file)) continue;
      done.add(file);
      const included = await readIncluded(file, shownPath(file, cwd), {item, path: `include[${index}]`});
      refuseDoubles(merged, included);
      merged = mergeNodes(merged, included, '');
    }
  }
  return merged.kind === 'map' ? merged : root;
}

interface IncludeEntry {
  readonly item: ConfigNode;
  readonly path: string;
}

async function readIncluded(file: string, shown: string, entry: IncludeEntry): Promise<ConfigMap> {
  const found = await stat(file).catch(() => null);
  if (found?.isFile() !== true) throw nothingIncluded(entry.item, entry.path, shown);
  const node = await readConfig(file, shown);
  if (node.kind !== 'map')
    throw problemError({
      code: 'INVALID_SPEC',
      path: '',
      place: node.place,
      message: 'expected a mapping',
      fix: 'An included file has resources, targets or variables.',
    });
  const nested = node.entries.get('include');
  if (nested === undefined) return node;
  throw problemError({
    code: 'INVALID_SPEC',
    path: 'include',
    place: nested.keyPlace,
    message: 'an included file cannot include others',
    fix: 'Include them from the first file.',
  });
}

function nothingIncluded(item: ConfigNode, path: string, what: string): IngestError {
  return problemError({
    code: 'INVALID_SPEC',
    path,
    place: item.place,
    message: `there is no file ${what}`,
    fix: 'Correct the path; it is relative to this file.',
  });
}

/** Two files that both define a resource are a mistake, not an override. */
function refuseDoubles(base: ConfigNode, included: ConfigMap): void {
  for (const kind of ['pipelines', 'connections']) {
    const known = childOf(childOf(base, 'resources'), kind);
    const added = childOf(childOf(included, 'resources'), kind);
    if (added?.kind !== 'map') continue;
    for (const [key, entry] of added.entries) {
      const other = childOf(known, key);
      if (other === undefined) continue;
      throw problemError({
        code: 'INVALID_SPEC',
        path: pathOfKey(`resources.${kind}`, key),
        place: entry.keyPlace,
        message: `it is defined in ${other.place.file} already`,
        fix: 'Rename one of them.',
      });
    }
  }
}

/** A file with one pipeline, or with a definition alone, as the bundle that it stands for. */
function asBundle(node: ConfigMap, key: string): Pick<LoadedFile, 'root' | 'writtenPath'> {
  const isPipeline = node.entries.has('ingestion_definition') || node.entries.has('pipeline_spec');
  if (!isPipeline && !node.entries.has('connection_name') && !node.entries.has('objects')) throw noForm(node);
  const beside = pick(node, (name) => SINGLE_FILE_KEYS.includes(name));
  const body = pick(node, (name) => !SINGLE_FILE_KEYS.includes(name));
  const pipelinePath = pathOfKey('resources.pipelines', key);
  const written = new Map([
    ['resources.connections', 'connections'],
    [pipelinePath, ''],
  ]);
  let pipeline = body;
  if (!isPipeline) {
    const definition = pick(body, (name) => !HOME_KEYS.includes(name));
    const door = looksManaged(definition) ? 'ingestion_definition' : 'pipeline_spec';
    pipeline = withEntry(
      pick(body, (name) => HOME_KEYS.includes(name)),
      door,
      definition,
    );
    written.set(`${pipelinePath}.${door}`, '');
  }
  const connections = beside.entries.get('connections');
  const pipelines = withEntry({...node, entries: new Map<string, ConfigEntry>()}, key, pipeline);
  let resources = withEntry({...node, entries: new Map<string, ConfigEntry>()}, 'pipelines', pipelines);
  if (connections !== undefined) resources = withEntry(resources, 'connections', connections.node);
  let root = withEntry({...node, entries: new Map<string, ConfigEntry>()}, 'resources', resources);
  for (const [name, entry] of beside.entries) if (name !== 'connections') root = withEntry(root, name, entry.node);
  return {
    root,
    writtenPath: (path) => rewritten(path, written),
  };
}

/** The path with the longest of the prefixes replaced. */
function rewritten(path: string, written: ReadonlyMap<string, string>): string {
  const prefixes = [...written.keys()].filter(
    (prefix) => path === prefix || (path.startsWith(prefix) && '.['.includes(path.charAt(prefix.length))),
  );
  const longest = prefixes.sort((left, right) => right.length - left.length)[0];
  if (longest === undefined) return path;
  const rest = path.slice(longest.length);
  const start = written.get(longest) ?? '';
  return start === '' ? rest.replace(/^\./, '') : start + rest;
}

function noForm(node: ConfigMap): IngestError {
  const known = [...BUNDLE_KEYS, 'ingestion_definition', 'pipeline_spec', 'connection_name', 'objects'];
  for (const [key, entry] of node.entries) {
    const suggestion = known.includes(key) ? null : didYouMean(key, known);
    if (suggestion === null) continue;
    return problemError({
      code: 'INVALID_SPEC',
      path: key,
      place: entry.keyPlace,
      message: 'unknown key',
      fix: `Did you mean "${suggestion}"?`,
    });
  }
  return problemError({
    code: 'INVALID_SPEC',
    path: '',
    place: node.place,
    message: 'the file holds no pipeline',
    fix: FORMS,
  });
}

const FORMS =
  'Write a bundle (resources.pipelines), one pipeline (ingestion_definition or pipeline_spec), or a definition (connection_name and objects).';

function pick(node: ConfigMap, keep: (key: string) => boolean): ConfigMap {
  return {...node, entries: new Map([...node.entries].filter(([key]) => keep(key)))};
}

function withEntry(node: ConfigMap, key: string, value: ConfigNode): ConfigMap {
  return {...node, entries: new Map([...node.entries, [key, {node: value, keyPlace: value.place}]])};
}

/** The key of a pipeline that stands in a file alone. */
function keyOf(path: string): string {
  const key = basename(path, extname(path)).replace(/[^\w-]+/g, '_');
  return key === '' ? 'pipeline' : key;
}

function shownPath(path: string, cwd: string): string {
  const shown = relative(cwd, path);
  return shown.startsWith('..') ? path : shown;
}
