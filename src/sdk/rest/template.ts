import {IngestError} from '../../core/errors.ts';
import {stringifyJson} from '../../core/json-reader.ts';
import {ExactNumber, type JsonObject, type JsonValue} from '../../core/json-value.ts';
import {didYouMean} from '../../core/suggest.ts';
import {formatTimestamp} from '../../core/time-text.ts';
import {cursorMicros} from '../cursor.ts';
import {pathReader} from '../json-path.ts';
import {wrongAt, type Place} from './document-shape.ts';
import type {RequestScope} from './rest-request.ts';

/** Names under which a template finds values; times are bigint microseconds. */
export type TemplateValues = Readonly<Record<string, JsonValue | undefined>>;

/** A compiled template: undefined when a placeholder that is the whole text has no value. */
export type Template<Value> = (values: TemplateValues) => Value;

/** What the names of a template may be. */
export interface TemplateNames {
  readonly roots: readonly string[];
  /** Names of the connection's options. */
  readonly config: readonly string[];
  /** Names of the table's options. */
  readonly option: readonly string[];
}

const FORMATTERS = [
  'iso',
  'iso_ms',
  'iso_seconds',
  'epoch_seconds',
  'epoch_ms',
  'date',
  'lower',
  'upper',
  'base64',
  'url',
  'raw',
  'json',
  'join',
] as const;

type Formatter = (typeof FORMATTERS)[number];

type Piece =
  | string
  | {readonly read: (values: TemplateValues) => JsonValue | undefined; readonly formatters: readonly Formatter[]};

/** The values of a request's scope. */
export function scopeValues(scope: RequestScope): TemplateValues {
  const {window} = scope;
  return {
    config: scope.config as JsonObject,
    option: scope.option as JsonObject,
    parent: scope.parent,
    parents: scope.parents,
    cursor: scope.cursor,
    window: window === null ? null : {start: window.start, end: window.end, from: window.from, to: window.to},
    token: scope.token,
    fields: scope.fields,
    table: scope.table,
    trigger: scope.triggerStartedAt,
  };
}

/** A text with placeholders. Where it is one placeholder alone, the value keeps its type. @throws INVALID_SPEC for a name or formatter that is unknown. */
export function valueTemplate(text: string, names: TemplateNames, place: Place): Template<JsonValue | undefined> {
  const pieces = compile(text, names, place);
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined && typeof only !== 'string')
    return (values) => formatted(only, values, place);
  return (values) =>
    pieces.map((piece) => (typeof piece === 'string' ? piece : textOf(formatted(piece, values, place)))).join('');
}

/** A text with placeholders that becomes a text; what it lacks is empty. */
export function textTemplate(text: string, names: TemplateNames, place: Place): Template<string> {
  const value = valueTemplate(text, names, place);
  return (values) => textOf(value(values));
}

/** A URL: values are encoded for a path or query, unless `raw` says otherwise. @throws SOURCE_ERROR when a value is missing. */
export function urlTemplate(text: string, names: TemplateNames, place: Place): Template<string> {
  const pieces = compile(text, names, place);
  const [only] = pieces;
  return (values) =>
    pieces
      .map((piece) => {
        if (typeof piece === 'string') return piece;
        const value = formatted(piece, values, place);
        if (value === undefined || value === null || value === '') {
          throw new IngestError('INVALID_SPEC', `${place.where}: ${place.path} has a placeholder without a value.`, {
            fix: 'Use it where it has one: parent in tables with partitions, window in a plan by windows.',
            context: {path: place.path},
          });
        }
        const isWhole = pieces.length === 1 && piece === only;
        return isWhole || piece.formatters.includes('raw') || piece.formatters.includes('url')
          ? textOf(value)
          : encodeURIComponent(textOf(value));
      })
      .join('');
}

function compile(text: string, names: TemplateNames, place: Place): readonly Piece[] {
  const pieces: Piece[] = [];
  const placeholder = /\$\$\{|\$\{([^}]*)\}/g;
  let end = 0;
  for (const match of text.matchAll(placeholder)) {
    if (match.index > end) pieces.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    pieces.push(match[1] === undefined ? '${' : pieceOf(match[1], names, place));
  }
  if (end < text.length || pieces.length === 0) pieces.push(text.slice(end));
  return pieces;
}

function pieceOf(inner: string, names: TemplateNames, place: Place): Piece {
  const [path = '', ...formatters] = inner.split('|').map((part) => part.trim());
  const root = /^[A-Za-z_]+/.exec(path)?.[0] ?? '';
  if (!names.roots.includes(root)) throw unknown(place, `\${${root}}`, names.roots, root);
  const option = /^(?:config|option)\.([A-Za-z0-9_]+)/.exec(path)?.[1];
  const declared = root === 'config' ? names.config : names.option;
  if (option !== undefined && (root === 'config' || root === 'option') && !declared.includes(option))
    throw unknown(place, `the ${root === 'config' ? 'connection' : 'table'} option "${option}"`, declared, option);
  return {
    read: pathReader(path) as (values: TemplateValues) => JsonValue | undefined,
    formatters: formatters.map((name) => formatterOf(name, place)),
  };
}

function formatterOf(name: string, place: Place): Formatter {
  const found = FORMATTERS.find((one) => one === name);
  if (found === undefined) throw unknown(place, `the formatter "${name}"`, FORMATTERS, name);
  return found;
}

function unknown(place: Place, what: string, known: readonly string[], name: string): IngestError {
  const close = didYouMean(name, known);
  return wrongAt(
    place,
    `uses ${what}, which is unknown`,
    close === null ? `Known here: ${known.join(', ')}.` : `Did you mean "${close}"?`,
  );
}

function formatted(
  {read, formatters}: Exclude<Piece, string>,
  values: TemplateValues,
  place: Place,
): JsonValue | undefined {
  let value = read(values);
  for (const formatter of formatters)
    if (value !== undefined && value !== null) value = format(formatter, value, place);
  return typeof value === 'bigint' && formatters.length === 0 ? formatTimestamp(value) : value;
}

function format(formatter: Formatter, value: JsonValue, place: Place): JsonValue {
  switch (formatter) {
    case 'lower':
      return textOf(value).toLowerCase();
    case 'upper':
      return textOf(value).toUpperCase();
    case 'base64':
      return Buffer.from(textOf(value)).toString('base64');
    case 'url':
      return encodeURIComponent(textOf(value));
    case 'raw':
      return value;
    case 'json':
      return stringifyJson(value);
    case 'join':
      return Array.isArray(value) ? (value as readonly JsonValue[]).map(textOf).join(',') : textOf(value);
    default:
      return formatTime(formatter, microsOf(value, place));
  }
}

function formatTime(
  formatter: Extract<Formatter, 'iso' | 'iso_ms' | 'iso_seconds' | 'epoch_seconds' | 'epoch_ms' | 'date'>,
  micros: bigint,
): JsonValue {
  switch (formatter) {
    case 'iso':
      return formatTimestamp(micros);
    case 'iso_ms':
      return `${formatTimestamp(micros).slice(0, 23)}Z`;
    case 'iso_seconds':
      return `${formatTimestamp(micros).slice(0, 19)}Z`;
    case 'epoch_seconds':
      return Number(micros / 1_000_000n);
    case 'epoch_ms':
      return Number(micros / 1000n);
    case 'date':
      return formatTimestamp(micros).slice(0, 10);
  }
}

function microsOf(value: JsonValue, place: Place): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string') return cursorMicros(value);
  throw wrongAt(place, 'formats a value as a time that is none');
}

function textOf(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' && !(value instanceof ExactNumber) ? stringifyJson(value) : String(value);
}
