import type {HiddenType} from './column-type.ts';

/** The text of a value that the log files under bytes, as the server prints it. */
export function hiddenText(type: HiddenType, bytes: Buffer): string {
  if (type === 'inet4') return [...bytes].join('.');
  return type === 'inet6' ? inet6Text(bytes) : uuidText(bytes);
}

function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The server shortens also a single group of zeros. */
function inet6Text(bytes: Buffer): string {
  const groups = Array.from({length: 8}, (_, index) => bytes.readUInt16BE(index * 2));
  const {at, length} = longestZeros(groups);
  const isMapped = at === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff));
  if (isMapped) {
    const address = [...bytes.subarray(12)].join('.');
    return length === 6 ? `::${address}` : `::ffff:${address}`;
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return length === 0 ? text(0, 8) : `${text(0, at)}::${text(at + length, 8)}`;
}

function longestZeros(groups: readonly number[]): {readonly at: number; readonly length: number} {
  let best = {at: -1, length: 0};
  for (let at = 0; at < groups.length; at++) {
    let length = 0;
    while (groups[at + length] === 0) length++;
    if (length > best.length) best = {at, length};
  }
  return best;
}
