import type {ErrorCode} from '../../core/error-codes.ts';
import {IngestError} from '../../core/errors.ts';

/** Where something was written; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A value of a configuration file that remembers where it was written. */
export type ConfigNode = ConfigScalar | ConfigList | ConfigMap;

/** A leaf. */
export interface ConfigScalar {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  readonly place: Place;
  /** The value came as text from outside (`--var`, environment): numbers and booleans are read from it where they are expected. */
  readonly fromText?: boolean;
}

/** A list. */
export interface ConfigList {
  readonly kind: 'list';
  readonly items: readonly ConfigNode[];
  readonly place: Place;
}

/** A mapping, in the order of the file. */
export interface ConfigMap {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, ConfigEntry>;
  readonly place: Place;
}

/** A key's value and where the key stands. */
export interface ConfigEntry {
  readonly node: ConfigNode;
  readonly keyPlace: Place;
}

/** Something wrong with the configuration, or worth a warning. */
export interface Problem {
  readonly code: ErrorCode;
  /** Dotted path of the value, for example `resources.pipelines.daily.ingestion_definition.objects[2].table`. */
  readonly path: string;
  readonly place: Place;
  readonly message: string;
  readonly fix?: string;
}

/** The path of a key under `path`. */
export function pathOfKey(path: string, key: string): string {
  const step = /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
  if (path === '') return step;
  return step === key ? `${path}.${key}` : `${path}[${step}]`;
}

/** The value under a key of a mapping; undefined when `node` is none or lacks it. */
export function childOf(node: ConfigNode | undefined, key: string): ConfigNode | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.node : undefined;
}

/** The value of a scalar; undefined for anything else. */
export function scalarOf(node: ConfigNode | undefined): unknown {
  return node?.kind === 'scalar' ? node.value : undefined;
}

/** What a value is, in words, without showing what may be a secret. */
export function describeNode(node: ConfigNode): string {
  if (node.kind === 'list') return 'a list';
  if (node.kind === 'map') return 'a mapping';
  if (node.value === null) return 'nothing';
  return typeof node.value === 'string' ? 'text' : String(node.value);
}

/** The plain value, for what is handed on as JSON. */
export function plainValue(node: ConfigNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plainValue);
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, plainValue(entry.node)]));
}

/** `file:line:column`. */
export function formatPlace(place: Place): string {
  return `${place.file}:${place.line}:${place.column}`;
}

/** The error of one problem; `context` holds path and place. */
export function problemError(problem: Problem, cause?: unknown): IngestError {
  const message = problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`;
  return new IngestError(problem.code, message, {
    ...(problem.fix === undefined ? {} : {fix: problem.fix}),
    ...(cause === undefined ? {} : {cause}),
    context: {path: problem.path, at: formatPlace(problem.place)},
  });
}

/** Throws when there are problems: the first one, with all of them in an AggregateError as cause when there are more. */
export function throwProblems(problems: readonly Problem[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  if (others.length === 0) throw problemError(first);
  const all = problems.map((problem) => problemError(problem));
  throw problemError(first, new AggregateError(all, `${problems.length} problems`));
}
