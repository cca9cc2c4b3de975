import {parseJson, stringifyJson} from '../core/json-reader.ts';
import type {JsonObject} from '../core/json-value.ts';
import {WrongRequest} from './error-reply.ts';
import {isObject, type SortKey} from './row-values.ts';

/** What an opaque cursor or delta token remembers. */
export interface CursorState {
  /** The place behind which the page starts, for cursors that remember a place. */
  readonly position?: readonly SortKey[];
  readonly offset?: number;
  /** The last change before the list was begun, or before the delta. */
  readonly sequence?: number;
  readonly issuedAtMs: number;
}

/** A cursor as text; only the simulator knows what is in it. */
export function cursorText(state: CursorState): string {
  const value: JsonObject = {
    ...(state.position === undefined ? {} : {p: state.position}),
    ...(state.offset === undefined ? {} : {o: state.offset}),
    ...(state.sequence === undefined ? {} : {s: state.sequence}),
    t: state.issuedAtMs,
  };
  return Buffer.from(stringifyJson(value)).toString('base64url');
}

/** Reads a cursor. @throws WrongRequest when it is none, or older than `expiresAfterMs`. */
export function readCursor(text: string, nowMs: number, expiresAfterMs: number = Infinity): CursorState {
  const value = parsed(text);
  if (value === null) throw new WrongRequest('badRequest', 'The cursor is not valid.');
  const issuedAtMs = Number(value['t']);
  if (nowMs - issuedAtMs >= expiresAfterMs) throw new WrongRequest('cursorExpired', 'The cursor has expired.');
  const {p, o, s} = value;
  return {
    issuedAtMs,
    ...(Array.isArray(p) ? {position: p as readonly SortKey[]} : {}),
    ...(typeof o === 'number' ? {offset: o} : {}),
    ...(typeof s === 'number' ? {sequence: s} : {}),
  };
}

function parsed(text: string): JsonObject | null {
  try {
    const value = parseJson(Buffer.from(text, 'base64url').toString());
    return isObject(value) && typeof value['t'] === 'number' ? value : null;
  } catch {
    // A text that the simulator never gave: the caller refuses it.
    return null;
  }
}
