import {type JsonTape, KIND_MASK, SIZE_SHIFT, TOKEN, TOKEN_WORDS} from '../json-tape.ts';
import type {JsonObject, JsonValue} from '../json-value.ts';
import type {LazyObject} from '../lazy-object.ts';
import {NameBytes} from '../name-bytes.ts';
import type {ColumnWriter} from './column-writer.ts';
import type {LoopField} from './field-loop.ts';

/** Names beyond these are data, such as ids: their records are read in the ordinary way. */
const MOST_NAMES = 2000;
/** The second word of an empty string. */
const EMPTY_TEXT = TOKEN.string;

/** A name that objects have. */
class Name {
  readonly text: string;
  readonly bytes: NameBytes;
  /** Null: it is no field. */
  readonly field: LoopField | null;
  readonly isIgnored: boolean;
  /** The place of the field's writer. */
  readonly index: number;
  /** The object in which it was seen last; negative when its value stands beside the text. */
  seenIn = 0;
  /** The name that followed it last time. */
  follower: Name | null = null;
  /** Objects that had it, since they were taken. */
  count = 0;

  constructor(
    text: string,
    field: LoopField | null,
    {index = -1, isIgnored = false}: {readonly index?: number; readonly isIgnored?: boolean} = {},
  ) {
    this.text = text;
    this.bytes = new NameBytes(text);
    this.index = index;
    this.field = field;
    this.isIgnored = isIgnored;
  }
}

/**
 * Writes the members of objects where their text lies, one after another: a name is expected to be the one that followed the last time.
 * It writes only what fits as it is, and tells of everything else, so that the loop over fields may decide.
 */
export class TokenLoop {
  readonly #names = new Map<string, Name>();
  readonly #fields: readonly Name[];
  readonly #beside: readonly Name[];
  readonly #unknown: Name[] = [];
  readonly #refusesUnknown: boolean;
  readonly #first = new Name('', null);
  readonly #write: WriteToken;
  #object = 0;

  /** @param options.refusesUnknown an object with a value for which there is no field is left to the other loop. */
  constructor(
    fields: readonly LoopField[],
    options: {readonly ignored: ReadonlySet<string>; readonly refusesUnknown: boolean},
  ) {
    const names = fields.map((field, index) => new Name(field.name, field, {index}));
    this.#fields = names.filter(({field}) => field?.beside !== true);
    this.#beside = names.filter(({field}) => field?.beside === true);
    for (const name of this.#fields) this.#names.set(name.text, name);
    for (const name of options.ignored) this.#names.set(name, new Name(name, null, {isIgnored: true}));
    this.#write = compileWrites(fields.map(({writer}) => writer));
    this.#refusesUnknown = options.refusesUnknown;
  }

  /** Writes a row; false when it did not write all of it. */
  write(row: number, {tape, at, hasProperties, properties}: LazyObject, beside?: JsonObject): boolean {
    this.#object++;
    if (hasProperties && !this.#writeProperties(row, properties as JsonObject)) return false;
    if (!this.#writeText(row, tape, at)) return false;
    for (const {field, text} of this.#beside)
      if (field !== null && !writeValue(field, row, beside?.[text])) return false;
    return true;
  }

  /** Writes a row of an object in a text. */
  writeMembers(row: number, tape: JsonTape, object: number): boolean {
    this.#object++;
    return this.#writeText(row, tape, object);
  }

  /** Counts the names of the object that was written last which are no fields. */
  countUnknown(): void {
    for (const name of this.#unknown) if (Math.abs(name.seenIn) === this.#object) name.count++;
  }

  /** The names that are no fields, with the objects that had them since they were taken. */
  takeUnknown(): readonly (readonly [string, number])[] {
    const taken = this.#unknown.filter(({count}) => count > 0).map((name) => [name.text, name.count] as const);
    for (const name of this.#unknown) name.count = 0;
    return taken;
  }

  #writeText(row: number, tape: JsonTape, object: number): boolean {
    const {words, view} = tape;
    const end = tape.next(object) - TOKEN_WORDS;
    const current = this.#object;
    let last = this.#first;
    let unwritten = this.#fields.length;
    for (let at = object + TOKEN_WORDS; at < end;) {
      const start = words[at] ?? 0;
      const size = (words[at + 1] ?? 0) >>> SIZE_SHIFT;
      let name = last.follower;
      if (name === null || name.bytes.length !== size || !name.bytes.isAt(view, start)) {
        name = this.#nameAt(tape, at);
        if (name === null) return false;
        last.follower = name;
      }
      last = name;
      const value = at + TOKEN_WORDS;
      const word = words[value + 1] ?? 0;
      const kind = word & KIND_MASK;
      at = kind === TOKEN.object || kind === TOKEN.array ? value + (word >>> SIZE_SHIFT) : value + TOKEN_WORDS;
      if (name.seenIn === -current) continue;
      // A name that comes twice.
      if (name.seenIn === current) return false;
      name.seenIn = current;
      const {field} = name;
      if (field !== null) {
        unwritten--;
        const isNull = kind === TOKEN.null || (field.emptyIsNull && word === EMPTY_TEXT);
        if (isNull && field.required) return false;
        if (!(isNull ? field.writer.write(row, null) : this.#write(name.index, row, tape, value))) return false;
      } else if (this.#refusesUnknown && kind !== TOKEN.null && !name.isIgnored) return false;
    }
    return unwritten === 0 || this.#writeMissing(row);
  }

  /** Values that count instead of the text's members. */
  #writeProperties(row: number, properties: JsonObject): boolean {
    for (const text of Object.keys(properties)) {
      const name = this.#named(text);
      const value: JsonValue | undefined = properties[text];
      // An absent value is none that hides the text's.
      if (name === null || value === undefined) return false;
      name.seenIn = -this.#object;
      if (name.field === null) {
        if (this.#refusesUnknown && value !== null && !name.isIgnored) return false;
        continue;
      }
      if (!writeValue(name.field, row, value)) return false;
    }
    return true;
  }

  #writeMissing(row: number): boolean {
    for (const {field, seenIn} of this.#fields) {
      if (field === null || seenIn === this.#object || seenIn === -this.#object) continue;
      if (field.required || !field.writer.write(row, null)) return false;
    }
    return true;
  }

  #nameAt(tape: JsonTape, at: number): Name | null {
    return this.#named(tape.value(at) as string);
  }

  #named(text: string): Name | null {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size >= MOST_NAMES) return null;
    const name = new Name(text, null);
    this.#names.set(text, name);
    this.#unknown.push(name);
    return name;
  }
}

/** Writes a value that lies in no text; false when it does not fit, or is null where one must be. */
function writeValue({writer, required, emptyIsNull}: LoopField, row: number, value: JsonValue | undefined): boolean {
  const written = value === undefined || (emptyIsNull && value === '') ? null : value;
  return !(required && written === null) && writer.write(row, written);
}

/** Writes a token to the column of a place. */
type WriteToken = (index: number, row: number, tape: JsonTape, at: number) => boolean;

/**
 * Generates the choice of a writer as code. With one place per writer the engine specialises each on its type, which a loop over a list of
 * writers never can. Nothing but numbers enters the code.
 */
function compileWrites(writers: readonly ColumnWriter[]): WriteToken {
  const names = writers.map((_, index) => `w${index}`);
  const cases = names.map((name, index) => `case ${index}: return ${name}.writeToken(row, tape, at);`);
  // oxlint-disable-next-line typescript/no-implied-eval -- only numbers of ours become code
  const build = new Function(
    'writers',
    `"use strict"; const [${names.join(', ')}] = writers; return (index, row, tape, at) => { switch (index) { ${cases.join('\n')} default: return false; } };`,
  ) as (writers: readonly ColumnWriter[]) => WriteToken;
  return build(writers);
}
