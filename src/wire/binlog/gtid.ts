import {ByteReader} from './byte-reader.ts';
import {EVENT, EVENT_HEADER, eventCode, eventSeconds} from './events.ts';

/** The event that begins a transaction. */
export interface GtidEvent {
  /** `uuid:number`, `uuid:tag:number`, or MariaDB's `domain-server-number`. */
  readonly gtid: string;
  /** Microseconds since 1970. */
  readonly committedAt: bigint;
  /** One statement that commits by itself follows, and nothing that ends the transaction (MariaDB). */
  readonly isStandalone: boolean;
  /** The changes of an XA transaction that is decided later follow (MariaDB). */
  readonly isPreparedXa: boolean;
}

/** Reads a GTID event of either server. */
export function readGtid(event: Buffer): GtidEvent {
  switch (eventCode(event)) {
    case EVENT.mariaGtid:
      return readMariaGtid(event);
    case EVENT.gtidTagged:
      return readTaggedGtid(event);
    default:
      return readMysqlGtid(event);
  }
}

function readMariaGtid(event: Buffer): GtidEvent {
  const STANDALONE = 0x1;
  const PREPARED_XA = 0x40;
  const sequence = event.readBigUInt64LE(EVENT_HEADER);
  const domain = event.readUInt32LE(EVENT_HEADER + 8);
  const server = event.readUInt32LE(5);
  const flags = event[EVENT_HEADER + 12] ?? 0;
  return {
    gtid: `${domain}-${server}-${sequence}`,
    committedAt: BigInt(eventSeconds(event)) * 1_000_000n,
    isStandalone: (flags & STANDALONE) !== 0,
    isPreparedXa: (flags & PREPARED_XA) !== 0,
  };
}

function readMysqlGtid(event: Buffer): GtidEvent {
  const at = EVENT_HEADER + 1;
  const gtid = `${uuidText(event, at)}:${event.readBigInt64LE(at + 16)}`;
  const timeAt = at + 16 + 8 + 1 + 16;
  // Seven bytes; the highest bit says that the original time follows.
  const hasTime = event.length >= timeAt + 7;
  const micros = hasTime
    ? BigInt(event.readUIntLE(timeAt, 6)) + (BigInt((event[timeAt + 6] ?? 0) & 0x7f) << 48n)
    : BigInt(eventSeconds(event)) * 1_000_000n;
  return {gtid, committedAt: micros, isStandalone: false, isPreparedXa: false};
}

/** @see https://dev.mysql.com/doc/dev/mysql-server/latest/PageLibsMysqlSerialization.html */
function readTaggedGtid(event: Buffer): GtidEvent {
  const reader = new ByteReader(event, EVENT_HEADER);
  // Version of the format, length, last field that may not be ignored.
  for (let skipped = 0; skipped < 3; skipped++) variableInteger(reader);
  const uuid = Buffer.alloc(16);
  let number = 0n;
  let tag = '';
  let committedAt = BigInt(eventSeconds(event)) * 1_000_000n;
  for (let last = -1; ;) {
    const field = Number(variableInteger(reader)) >> 0;
    if (field <= last || field > TAGGED.time) break;
    last = field;
    if (field === TAGGED.uuid) for (let index = 0; index < 16; index++) uuid[index] = Number(variableInteger(reader));
    else if (field === TAGGED.number) number = signed(variableInteger(reader));
    else if (field === TAGGED.tag) tag = reader.take(Number(variableInteger(reader))).toString('latin1');
    else if (field === TAGGED.time) committedAt = variableInteger(reader);
    else variableInteger(reader);
  }
  return {
    gtid: `${uuidText(uuid, 0)}:${tag === '' ? '' : `${tag}:`}${number}`,
    committedAt,
    isStandalone: false,
    isPreparedXa: false,
  };
}

const TAGGED = {uuid: 1, number: 2, tag: 3, time: 6} as const;

/** As many more bytes as the first one has low bits set. */
function variableInteger(reader: ByteReader): bigint {
  const first = reader.bytes[reader.at] ?? 0;
  let extra = 0;
  while (extra < 8 && ((first >> extra) & 1) === 1) extra++;
  let value = 0n;
  for (let index = extra; index >= 0; index--) value = (value << 8n) | BigInt(reader.bytes[reader.at + index] ?? 0);
  reader.at += extra + 1;
  return extra === 8 ? value >> 8n : value >> BigInt(extra + 1);
}

/** Signed numbers have their sign in the lowest bit. */
function signed(value: bigint): bigint {
  return (value & 1n) === 0n ? value >> 1n : -(value >> 1n) - 1n;
}

function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Transactions that a server has executed. */
export interface GtidSet {
  has(gtid: string): boolean;
  /** Adds one transaction. */
  add(gtid: string): void;
  /** In the server's own notation. */
  toString(): string;
}

/** A set in the notation of either server; MariaDB's says the last transaction of each domain. */
export function parseGtidSet(text: string): GtidSet {
  const parts = text.split(',').map((part) => part.trim());
  const isMaria = parts.some((part) => /^\d+-\d+-\d+$/.test(part));
  return isMaria ? new MariaGtidPosition(parts) : new MysqlGtidSet(parts.filter((part) => part !== ''));
}

/** An empty set of MariaDB, which its notation does not tell from one of MySQL. */
export function emptyMariaSet(): GtidSet {
  return new MariaGtidPosition([]);
}

/** Numbers grow within a domain, whichever server wrote them. */
class MariaGtidPosition implements GtidSet {
  readonly #domains = new Map<string, {readonly server: string; readonly sequence: bigint}>();

  constructor(parts: readonly string[]) {
    for (const part of parts) this.add(part);
  }

  has(gtid: string): boolean {
    const [domain = '', , sequence = '0'] = gtid.split('-');
    return BigInt(sequence) <= (this.#domains.get(domain)?.sequence ?? -1n);
  }

  add(gtid: string): void {
    const [domain = '', server = '', sequence = '0'] = gtid.split('-');
    if (domain !== '') this.#domains.set(domain, {server, sequence: BigInt(sequence)});
  }

  toString(): string {
    return [...this.#domains].map(([domain, {server, sequence}]) => `${domain}-${server}-${sequence}`).join(',');
  }
}

interface Interval {
  readonly first: bigint;
  readonly last: bigint;
}

/** Intervals of numbers per server and tag, apart from each other and ascending. */
class MysqlGtidSet implements GtidSet {
  readonly #intervals = new Map<string, Interval[]>();

  constructor(parts: readonly string[]) {
    for (const part of parts) this.#parse(part);
  }

  has(gtid: string): boolean {
    const {source, number} = split(gtid);
    return (this.#intervals.get(source) ?? []).some(({first, last}) => first <= number && number <= last);
  }

  add(gtid: string): void {
    const {source, number} = split(gtid);
    this.#add(source, {first: number, last: number});
  }

  toString(): string {
    const sources = new Map<string, string[]>();
    // What follows a tag is of the tag: numbers without one come first.
    const ordered = [...this.#intervals].toSorted(([left], [right]) => (left < right ? -1 : 1));
    for (const [source, intervals] of ordered) {
      const [uuid = '', tag] = source.split(':');
      const texts = intervals.map(({first, last}) => (first === last ? `${first}` : `${first}-${last}`));
      const known = sources.get(uuid) ?? [];
      sources.set(uuid, [...known, ...(tag === undefined ? texts : [tag, ...texts])]);
    }
    return [...sources].map(([uuid, texts]) => [uuid, ...texts].join(':')).join(',');
  }

  /** The form that COM_BINLOG_DUMP_GTID takes. */
  encode(): Buffer {
    const hasTags = [...this.#intervals.keys()].some((source) => source.includes(':'));
    const head = Buffer.alloc(8);
    const count = BigInt(this.#intervals.size);
    head.writeBigUInt64LE(hasTags ? (1n << 56n) | (count << 8n) | 1n : count);
    const blocks = [...this.#intervals].map(([source, intervals]) => {
      const [uuid = '', tag = ''] = source.split(':');
      const name = hasTags ? [Buffer.from([tag.length << 1]), Buffer.from(tag)] : [];
      const numbers = Buffer.alloc(8 + 16 * intervals.length);
      numbers.writeBigUInt64LE(BigInt(intervals.length), 0);
      for (const [index, {first, last}] of intervals.entries()) {
        numbers.writeBigUInt64LE(first, 8 + 16 * index);
        numbers.writeBigUInt64LE(last + 1n, 16 + 16 * index);
      }
      return Buffer.concat([Buffer.from(uuid.replaceAll('-', ''), 'hex'), ...name, numbers]);
    });
    return Buffer.concat([head, ...blocks]);
  }

  #parse(part: string): void {
    const [uuid = '', ...rest] = part.toLowerCase().split(':');
    let source = uuid;
    for (const text of rest) {
      const match = /^(\d+)(?:-(\d+))?$/.exec(text);
      if (match === null) {
        source = `${uuid}:${text}`;
        continue;
      }
      const first = BigInt(match[1] ?? '0');
      this.#add(source, {first, last: match[2] === undefined ? first : BigInt(match[2])});
    }
  }

  #add(source: string, added: Interval): void {
    const intervals = this.#intervals.get(source);
    const end = intervals?.at(-1);
    if (intervals === undefined) this.#intervals.set(source, [added]);
    else if (end !== undefined && end.first <= added.first && added.first <= end.last + 1n) {
      intervals[intervals.length - 1] = {first: end.first, last: added.last > end.last ? added.last : end.last};
    } else this.#intervals.set(source, merged([...intervals, added]));
  }
}

/** The bytes of a set of MySQL for COM_BINLOG_DUMP_GTID. */
export function encodeGtidSet(text: string): Buffer {
  return new MysqlGtidSet(
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ).encode();
}

function split(gtid: string): {readonly source: string; readonly number: bigint} {
  const at = gtid.lastIndexOf(':');
  return {source: gtid.slice(0, at).toLowerCase(), number: BigInt(gtid.slice(at + 1))};
}

function merged(intervals: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  for (const next of intervals.toSorted((left, right) => (left.first < right.first ? -1 : 1))) {
    const last = result.at(-1);
    if (last !== undefined && next.first <= last.last + 1n) {
      result[result.length - 1] = {first: last.first, last: next.last > last.last ? next.last : last.last};
    } else result.push(next);
  }
  return result;
}
