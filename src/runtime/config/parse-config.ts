import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLParseError,
  type YAMLWarning,
} from 'yaml';

import type {IngestError} from '../../core/errors.ts';
import {problemError, type ConfigEntry, type ConfigMap, type ConfigNode, type Place} from './config-node.ts';

/** Anchors can multiply a small file; no honest configuration has this many values. */
const MAX_NODES = 200_000;
/** Deeper nesting than this is a mistake or an attack on the stack. */
const MAX_DEPTH = 64;

/**
 * Parses YAML 1.2 (JSON is a subset) with anchors and `<<` merge keys.
 * @throws INVALID_SPEC with line and column when the text is not well-formed, has duplicate keys or numbers that would change.
 */
export function parseConfig(text: string, file: string): ConfigNode {
  const lines = new LineCounter();
  const document = parseText(text.replace(/^\uFEFF/, ''), file, lines);
  const reader = new TreeReader(document, file, lines);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw syntaxError(syntaxMessage(problem), reader.placeAt(problem.pos[0]));
  if (document.contents === null) throw syntaxError('the file is empty', {file, line: 1, column: 1});
  return reader.read(document.contents, 0);
}

function parseText(text: string, file: string, lineCounter: LineCounter): Document.Parsed {
  try {
    return parseDocument(text, {lineCounter, prettyErrors: false, uniqueKeys: true, stringKeys: false});
  } catch (error) {
    if (error instanceof RangeError) throw syntaxError('values are nested too deeply', {file, line: 1, column: 1});
    throw error;
  }
}

/** Turns the parser's tree into ours: aliases followed, places attached. */
class TreeReader {
  private readonly document: Document.Parsed;
  private readonly file: string;
  private readonly lines: LineCounter;
  private count = 0;

  constructor(document: Document.Parsed, file: string, lines: LineCounter) {
    this.document = document;
    this.file = file;
    this.lines = lines;
  }

  placeAt(offset: number): Place {
    const {line, col} = this.lines.linePos(offset);
    return {file: this.file, line, column: col};
  }

  read(node: Node | null, depth: number): ConfigNode {
    const place = this.placeOf(node);
    this.count += 1;
    if (this.count > MAX_NODES) throw syntaxError('there are too many values', place, 'Use fewer anchors.');
    if (depth > MAX_DEPTH) throw syntaxError('values are nested too deeply', place);
    if (node === null) return {kind: 'scalar', value: null, place};
    if (isAlias(node)) return this.read(this.targetOf(node, place), depth + 1);
    if (isMap(node)) return this.readMap(node, depth);
    if (isSeq(node))
      return {kind: 'list', items: node.items.map((item) => this.read(item as Node | null, depth + 1)), place};
    return {kind: 'scalar', value: this.scalarValue(node, place), place};
  }

  private readMap(map: YAMLMap, depth: number): ConfigMap {
    const entries = new Map<string, ConfigEntry>();
    const merged: Pair[] = [];
    for (const pair of map.items) {
      const key = pair.key as Node | null;
      if (isScalar(key) && key.value === '<<' && key.type === 'PLAIN') merged.push(pair);
      else
        entries.set(this.keyText(key), {
          node: this.read(pair.value as Node | null, depth + 1),
          keyPlace: this.placeOf(key),
        });
    }
    for (const pair of merged) this.mergeInto(entries, pair.value as Node | null, depth);
    return {kind: 'map', entries, place: this.placeOf(map)};
  }

  /** `<<`: keys of the named mappings that the mapping does not have itself; earlier ones win. */
  private mergeInto(entries: Map<string, ConfigEntry>, source: Node | null, depth: number): void {
    const node = this.read(source, depth + 1);
    const maps = node.kind === 'list' ? node.items : [node];
    for (const map of maps) {
      if (map.kind !== 'map') throw syntaxError('"<<" merges mappings only', map.place);
      for (const [key, entry] of map.entries) if (!entries.has(key)) entries.set(key, entry);
    }
  }

  private keyText(key: Node | null): string {
    if (isScalar(key) && key.value !== null)
      return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
    throw syntaxError('a key must be text', this.placeOf(key));
  }

  private scalarValue(node: Node, place: Place): string | number | boolean | null {
    const value: unknown = isScalar(node) ? node.value : undefined;
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value !== 'number')
      throw syntaxError('a value of an unknown kind', place, 'Use text, numbers, true, false, lists and mappings.');
    // A double would silently change the number, for example a long account id.
    const safe = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
    if (!safe) throw syntaxError('the number is too large to be kept exactly', place, 'Put it in quotes.');
    return value;
  }

  private targetOf(alias: Extract<Node, {source: string}>, place: Place): Node {
    const target = isAlias(alias) ? alias.resolve(this.document) : undefined;
    if (target === undefined) throw syntaxError('the anchor of this alias is missing', place);
    return target;
  }

  private placeOf(node: Node | null): Place {
    return this.placeAt(node?.range?.[0] ?? 0);
  }
}

function syntaxMessage(problem: YAMLParseError | YAMLWarning): string {
  if (problem.code === 'MULTIPLE_DOCS') return 'the file holds more than one document';
  return (problem.message.split('\n', 1)[0] ?? '').replace(/[.:]$/, '');
}

function syntaxError(message: string, place: Place, fix = 'Correct the YAML or JSON there.'): IngestError {
  return problemError({code: 'INVALID_SPEC', path: '', place, message, fix});
}
