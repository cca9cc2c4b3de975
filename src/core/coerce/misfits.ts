import {stringifyJson} from '../json-reader.ts';
import type {JsonValue} from '../json-value.ts';

/**
 * The values of one record that did not fit, with their paths. A nested writer adds paths relative to itself; whoever
 * called it puts its own name in front.
 */
export class Misfits {
  #paths: string[] = [];
  #values: JsonValue[] = [];

  get length(): number {
    return this.#paths.length;
  }

  get firstPath(): string {
    return this.#paths[0] ?? '';
  }

  add(path: string, value: JsonValue): void {
    this.#paths.push(path);
    this.#values.push(value);
  }

  /** Puts a name or an index in front of all paths from the `from`th on. */
  prefix(from: number, head: string): void {
    for (let index = from; index < this.#paths.length; index++) {
      const tail = this.#paths[index] ?? '';
      this.#paths[index] = tail.startsWith('[') ? head + tail : `${head}.${tail}`;
    }
  }

  /** Forgets all from the `from`th on: what holds them did not fit as a whole. */
  truncate(from: number): void {
    this.#paths.length = from;
    this.#values.length = from;
  }

  /** JSON object of path to raw value. */
  toJson(): string {
    const entries = this.#paths.map(
      (path, index) => `${JSON.stringify(path)}:${stringifyJson(this.#values[index] ?? null)}`,
    );
    return `{${entries.join(',')}}`;
  }
}

/** A name as a part of a path: in backticks when it holds a character of paths itself. */
export function pathPart(name: string): string {
  return /[.[\]`]/.test(name) || name === '' ? `\`${name.replaceAll('`', '``')}\`` : name;
}
