import type {SaxesTagPlain} from 'saxes';

import {IngestError} from '../../core/errors.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {textPieces} from './body-text.ts';

/** Which elements of an XML body are records. */
export interface XmlForm {
  /** Name of the records' element, with or without its prefix; `parent/element` where the name alone is not enough. */
  readonly element: string;
  /** The element that every answer has, also where it has no records; so written as `element`. Default: the parent in `parent/element`. Without either an answer without records is an error. */
  readonly container?: string;
  /** Children that are lists even where there is only one. */
  readonly lists?: readonly string[];
  /** Default `utf-8`. */
  readonly charset?: string;
}

/** An open element within a record. */
interface OpenElement {
  readonly name: string;
  readonly fields: Record<string, JsonValue>;
  text: string;
  hasFields: boolean;
}

/**
 * Streams the records of an XML body, as many at once as a piece of the body brings. An element with neither attributes nor
 * children is its text, otherwise an object: attributes have `@` before their name, text beside them is `#text`. Children
 * that repeat are lists; `xsi:nil` is null. Prefixes stay part of names.
 * @throws SOURCE_ERROR when the body is no well-formed XML or breaks off, and when it has neither a record nor the container of records.
 */
export async function* xmlRecords(
  body: AsyncIterable<Uint8Array>,
  form: XmlForm,
): AsyncGenerator<readonly JsonObject[], void> {
  const {SaxesParser} = await import('saxes');
  const parser = new SaxesParser();
  const builder = recordBuilder(form);
  parser.on('opentag', builder.open);
  parser.on('closetag', builder.close);
  parser.on('text', builder.text);
  parser.on('cdata', builder.text);
  parser.on('error', () => {
    throw new IngestError('SOURCE_ERROR', `The XML answer is malformed or broke off in line ${parser.line}.`, {
      context: {line: parser.line},
    });
  });
  for await (const text of textPieces(body, form.charset)) {
    parser.write(text);
    const records = builder.take();
    if (records.length > 0) yield records;
  }
  parser.close();
  if (!builder.isAnswer()) throw otherDocument(form);
  const records = builder.take();
  if (records.length > 0) yield records;
}

interface RecordBuilder {
  open(this: void, tag: SaxesTagPlain): void;
  close(this: void): void;
  text(this: void, text: string): void;
  take(): readonly JsonObject[];
  /** True when there were records, or a container of them. */
  isAnswer(): boolean;
}

function recordBuilder({element, container, lists = []}: XmlForm): RecordBuilder {
  const wanted = element.split('/');
  const home = container?.split('/') ?? (wanted.length > 1 ? wanted.slice(0, -1) : null);
  const isList = new Set(lists);
  let isAnswer = false;
  const path: string[] = [];
  const open: OpenElement[] = [];
  let records: JsonObject[] = [];

  const close = (): void => {
    path.pop();
    const closed = open.pop();
    if (closed === undefined) return;
    const parent = open.at(-1);
    const value = valueOf(closed);
    if (parent === undefined) records.push(objectOf(value));
    else {
      addField(parent.fields, closed.name, value, isList);
      parent.hasFields = true;
    }
  };

  return {
    open(tag) {
      path.push(tag.name);
      isAnswer ||= home !== null && endsWith(path, home);
      if (open.length === 0 && !endsWith(path, wanted)) return;
      isAnswer = true;
      const entries = Object.entries(tag.attributes).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'));
      open.push({
        name: tag.name,
        fields: Object.fromEntries(entries.map(([name, value]) => [`@${name}`, value])),
        text: '',
        hasFields: entries.length > 0,
      });
    },
    close,
    text(text) {
      const current = open.at(-1);
      if (current !== undefined) current.text += text;
    },
    take() {
      const taken = records;
      records = [];
      return taken;
    },
    isAnswer: () => isAnswer,
  };
}

/** A report of an error, or of another kind, is no list without records. */
function otherDocument({element, container}: XmlForm): IngestError {
  const isNamed = container !== undefined || element.includes('/');
  return new IngestError(
    'SOURCE_ERROR',
    `The XML answer has no element "${element}"${isNamed ? ', and nothing that would hold it' : ''}.`,
    {
      class: 'config',
      fix: isNamed
        ? 'Correct the names of element and container; where the answer reports an error, add an error rule.'
        : 'Correct the name of the element. If an answer may have no records, name the container: the element that holds them and is always there.',
      context: {element},
    },
  );
}

function valueOf({fields, text, hasFields}: OpenElement): JsonValue {
  if (fields['@xsi:nil'] === 'true') return null;
  if (!hasFields) return text;
  if (text.trim() !== '') fields['#text'] = text;
  return fields;
}

function objectOf(value: JsonValue): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : value === null || value === ''
      ? {}
      : {'#text': value};
}

function addField(fields: Record<string, JsonValue>, name: string, value: JsonValue, lists: ReadonlySet<string>): void {
  const before = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (before === undefined) fields[name] = lists.has(name) || lists.has(localName(name)) ? [value] : value;
  else if (Array.isArray(before)) (before as JsonValue[]).push(value);
  else fields[name] = [before, value];
}

function endsWith(path: readonly string[], wanted: readonly string[]): boolean {
  if (wanted.length > path.length) return false;
  const end = path.slice(-wanted.length);
  return wanted.every((name, index) => end[index] === name || localName(end[index] ?? '') === name);
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}
