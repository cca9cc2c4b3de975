/** A number whose exact text a double would change and that is no integer; printed by `toString` and `toJSON` as its text. */
export class ExactNumber {
  /** The number as the source wrote it, a valid JSON number. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** The number's text. */
  toString(): string {
    return this.text;
  }

  /** For `JSON.stringify`, which cannot print such a number: a string. `stringifyJson` prints the number. */
  toJSON(): string {
    return this.text;
  }
}

/** A JSON value that lost nothing: integers beyond 2^53 are `bigint`, other inexact numbers are {@link ExactNumber}. */
export type JsonValue = null | boolean | number | string | bigint | ExactNumber | readonly JsonValue[] | JsonObject;

/** A JSON object of {@link JsonValue}. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}
