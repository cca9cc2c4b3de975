import {IngestError} from '../core/errors.ts';
import type {PlainJson} from '../core/offset.ts';

/** A file of staging that is missing or does not hold what the manifest says: STAGING_DAMAGED, naming it and the way out. */
export function damaged(file: string, what: string, cause?: unknown): IngestError {
  return new IngestError('STAGING_DAMAGED', `${file} ${what}.`, {
    fix: 'Restore the file from a copy of the staging folder; or refresh the tables of this gateway in full, which makes it unneeded.',
    context: {path: file},
    ...(cause === undefined ? {} : {cause}),
  });
}

/** Reads fields of JSON that may have been damaged. Every method throws STAGING_DAMAGED with the file's name. */
export class JsonFields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #file: string;

  constructor(value: unknown, file: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw damaged(file, 'holds no JSON object');
    this.#fields = value as Readonly<Record<string, unknown>>;
    this.#file = file;
  }

  /** Parses bytes. */
  static parse(bytes: Uint8Array, file: string): JsonFields {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(bytes));
    } catch (error) {
      throw damaged(file, 'is no JSON', error);
    }
    return new JsonFields(value, file);
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined && this.#fields[name] !== null;
  }

  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === 'string' ? value : this.#wrong(name);
  }

  number(name: string): number {
    const value = this.#fields[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : this.#wrong(name);
  }

  /** Written as decimal text, because a double would round it. */
  bigint(name: string): bigint {
    const value = this.text(name);
    return /^-?\d{1,20}$/.test(value) ? BigInt(value) : this.#wrong(name);
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    return typeof value === 'boolean' ? value : this.#wrong(name);
  }

  /** What JSON.parse gave is plain JSON. */
  json(name: string): PlainJson {
    const value = this.#fields[name];
    return value === undefined ? this.#wrong(name) : (value as PlainJson);
  }

  object(name: string): JsonFields {
    return new JsonFields(this.#fields[name], this.#file);
  }

  objects(name: string): readonly JsonFields[] {
    return this.#list(name).map((value) => new JsonFields(value, this.#file));
  }

  texts(name: string): readonly string[] {
    return this.#list(name).map((value) => (typeof value === 'string' ? value : this.#wrong(name)));
  }

  entries(): readonly (readonly [string, unknown])[] {
    return Object.entries(this.#fields);
  }

  #list(name: string): readonly unknown[] {
    const value: unknown = this.#fields[name];
    return Array.isArray(value) ? (value as readonly unknown[]) : this.#wrong(name);
  }

  #wrong(name: string): never {
    throw damaged(this.#file, `has no sound field "${name}"`);
  }
}
