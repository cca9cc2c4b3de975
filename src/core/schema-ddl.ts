import {IngestError} from './errors.ts';
import type {PlainJson} from './offset.ts';
import {checkDecimal} from './schema.ts';
import type {DataType, DecimalType, PrimitiveType, StructField, StructType} from './types.ts';

/**
 * A schema as Spark SQL declares it: `id BIGINT NOT NULL, s STRUCT<a: INT>`. DDL has no form for lists and maps without
 * nulls, and of the metadata only the comment.
 */
export function toDdl(schema: StructType): string {
  return schema.fields.map((field) => fieldToDdl(field, ' ')).join(', ');
}

/** A type as Spark SQL declares it: `ARRAY<STRUCT<a: INT NOT NULL>>`. */
export function typeToDdl(type: DataType): string {
  if (typeof type === 'string') return SQL_NAMES[type];
  switch (type.type) {
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'array':
      return `ARRAY<${typeToDdl(type.elementType)}>`;
    case 'map':
      return `MAP<${typeToDdl(type.keyType)}, ${typeToDdl(type.valueType)}>`;
    case 'struct':
      return `STRUCT<${type.fields.map((field) => fieldToDdl(field, ': ')).join(', ')}>`;
  }
}

/** Reads what {@link toDdl} writes, in any case and with Spark's synonyms. @throws INVALID_SCHEMA with the place. */
export function fromDdl(text: string): StructType {
  const reader = new DdlReader(text);
  const fields = reader.fields(null);
  return {type: 'struct', fields};
}

const SQL_NAMES: Readonly<Record<PrimitiveType, string>> = {
  string: 'STRING',
  long: 'BIGINT',
  integer: 'INT',
  short: 'SMALLINT',
  byte: 'TINYINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  binary: 'BINARY',
  date: 'DATE',
  timestamp: 'TIMESTAMP',
  timestamp_ntz: 'TIMESTAMP_NTZ',
  variant: 'VARIANT',
};

const TYPE_WORDS: ReadonlyMap<string, PrimitiveType> = new Map<string, PrimitiveType>([
  ...Object.entries(SQL_NAMES).map(([type, name]): [string, PrimitiveType] => [name, type as PrimitiveType]),
  ['LONG', 'long'],
  ['INTEGER', 'integer'],
  ['SHORT', 'short'],
  ['BYTE', 'byte'],
  ['REAL', 'float'],
  ['TIMESTAMP_LTZ', 'timestamp'],
]);

function fieldToDdl(field: StructField, separator: string): string {
  const {comment} = field.metadata;
  const suffix = typeof comment === 'string' ? ` COMMENT '${comment.replaceAll(/[\\']/g, '\\$&')}'` : '';
  return `${nameToDdl(field.name)}${separator}${typeToDdl(field.type)}${field.nullable ? '' : ' NOT NULL'}${suffix}`;
}

function nameToDdl(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
}

const TOKEN = /\s*(?:(`(?:[^`]|``)+`)|('(?:[^'\\]|\\[^])*')|([A-Za-z_0-9]+)|([<>(),:]))/y;

/** One pass over the tokens of a declaration. */
class DdlReader {
  readonly #text: string;
  #at = 0;
  #token = '';
  #tokenAt = 0;

  constructor(text: string) {
    this.#text = text;
    this.#next();
  }

  /** Fields up to `end`, or to the end of the text for null; the end is consumed. */
  fields(end: '>' | null): readonly StructField[] {
    const fields: StructField[] = [];
    do fields.push(this.#field());
    while (this.#take(','));
    if (end === null ? this.#token !== '' : !this.#take(end)) throw this.#unexpected(end ?? 'the end');
    return fields;
  }

  #field(): StructField {
    const name = this.#name();
    this.#take(':');
    const type = this.#type();
    const nullable = !this.#word('NOT');
    if (!nullable && !this.#word('NULL')) throw this.#unexpected('NULL');
    const metadata: Record<string, PlainJson> = this.#word('COMMENT') ? {comment: this.#text1()} : {};
    return {name, type, nullable, metadata};
  }

  #type(): DataType {
    const word = this.#token.toUpperCase();
    const at = this.#tokenAt;
    this.#next();
    if (word === 'DECIMAL' || word === 'DEC' || word === 'NUMERIC') return this.#decimal(at);
    if (word === 'ARRAY') {
      this.#expect('<');
      const elementType = this.#type();
      this.#expect('>');
      return {type: 'array', elementType, containsNull: true};
    }
    if (word === 'MAP') {
      this.#expect('<');
      const keyType = this.#type();
      this.#expect(',');
      const valueType = this.#type();
      this.#expect('>');
      return {type: 'map', keyType, valueType, valueContainsNull: true};
    }
    if (word === 'STRUCT') {
      this.#expect('<');
      return {type: 'struct', fields: this.fields('>')};
    }
    const primitive = TYPE_WORDS.get(word);
    if (primitive === undefined)
      throw this.#malformed(word === '' ? 'a type is missing' : `the type "${word}" is unknown`, at);
    return primitive;
  }

  #decimal(at: number): DecimalType {
    let [precision, scale] = [10, 0];
    if (this.#take('(')) {
      precision = this.#digits();
      if (this.#take(',')) scale = this.#digits();
      this.#expect(')');
    }
    const type: DecimalType = {type: 'decimal', precision, scale};
    checkDecimal(type, `position ${at + 1}`);
    return type;
  }

  #name(): string {
    const token = this.#token;
    if (!/^[A-Za-z_0-9`]/.test(token)) throw this.#unexpected('a column name');
    this.#next();
    return token.startsWith('`') ? token.slice(1, -1).replaceAll('``', '`') : token;
  }

  #digits(): number {
    const token = this.#token;
    if (!/^\d+$/.test(token)) throw this.#unexpected('a number');
    this.#next();
    return Number(token);
  }

  #text1(): string {
    const token = this.#token;
    if (!token.startsWith("'")) throw this.#unexpected('a text in quotes');
    this.#next();
    return token.slice(1, -1).replaceAll(/\\([^])/g, '$1');
  }

  #take(token: string): boolean {
    if (this.#token !== token) return false;
    this.#next();
    return true;
  }

  #word(word: string): boolean {
    if (this.#token.toUpperCase() !== word) return false;
    this.#next();
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw this.#unexpected(`"${token}"`);
  }

  #next(): void {
    TOKEN.lastIndex = this.#at;
    const match = TOKEN.exec(this.#text);
    if (match === null) {
      const rest = this.#text.slice(this.#at).trimStart();
      this.#tokenAt = this.#text.length - rest.length;
      if (rest !== '') throw this.#malformed(`"${rest.charAt(0)}" is unexpected`, this.#tokenAt);
      this.#token = '';
      return;
    }
    this.#token = match[1] ?? match[2] ?? match[3] ?? match[4] ?? '';
    this.#at = TOKEN.lastIndex;
    this.#tokenAt = this.#at - this.#token.length;
  }

  #unexpected(wanted: string): IngestError {
    return this.#malformed(`expected ${wanted}${this.#token === '' ? '' : `, found "${this.#token}"`}`, this.#tokenAt);
  }

  #malformed(what: string, at: number): IngestError {
    return new IngestError('INVALID_SCHEMA', `The column declaration is malformed at position ${at + 1}: ${what}.`, {
      fix: 'Write columns as in `id BIGINT NOT NULL, tags ARRAY<STRING>`.',
      context: {position: at + 1},
    });
  }
}
