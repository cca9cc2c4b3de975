import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {CursorValue} from '../cursor.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {valueAt} from '../json-path.ts';
import {openFormat} from './cursor-format.ts';
import {countOf, openSize, type Pager, type PagerStart} from './pager.ts';
import {withSlot} from './request-slot.ts';
import type {KeysetPaginator} from './rest-request.ts';

/** Pages by the key of the last record; its position outlives the listing. */
export function openKeyset(paginator: KeysetPaginator, {first, from, about}: PagerStart): Pager {
  const size = openSize(paginator.size);
  let after = Array.isArray(from) ? (from as readonly CursorValue[]) : null;
  return {
    request() {
      const sized = size === null ? first : size.apply(first);
      return after === null ? sized : afterKey(paginator, sized, after);
    },
    take(reply) {
      const {records} = reply;
      const last = records.at(-1);
      if (last === undefined) return {records, more: false};
      const key = keyOf(paginator, last, about);
      if (after !== null && key.every((value, index) => value === after?.[index])) throw stuck(about);
      after = key;
      return {records, more: size?.isFull(countOf(reply)) ?? true};
    },
    shrink: () => size?.shrink() === true,
    position: () => (after === null ? null : [...after]),
  };
}

function afterKey({slots, request}: KeysetPaginator, first: HttpRequest, after: readonly CursorValue[]): HttpRequest {
  if (request !== undefined) return request(first, after);
  let made = first;
  for (const [index, slot] of (slots ?? []).entries()) {
    const value = after[index];
    if (value !== undefined) made = withSlot(made, slot, value);
  }
  return made;
}

function keyOf({fields}: KeysetPaginator, record: JsonObject, about: string): readonly CursorValue[] {
  const {plain} = openFormat('text');
  return fields.map((field) => {
    const value = plain(valueAt(record, field));
    if (value !== null) return value;
    throw new IngestError('CONTRACT_VIOLATION', `${about}: a record has no "${field}", by which its pages go on.`, {
      fix: 'Page by a unique field that every record has.',
      context: {field},
    });
  });
}

function stuck(about: string): IngestError {
  return new IngestError('CONTRACT_VIOLATION', `${about}: a page ends at the key that it should begin after.`, {
    fix: 'Ask for records strictly after the key, sorted by all its fields.',
  });
}
