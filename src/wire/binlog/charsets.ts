import {SINGLE_BYTE} from './single-byte-charsets.ts';

/** Turns stored bytes into text. */
export type TextDecode = (bytes: Buffer, start: number, end: number) => string;

/** The collation of bytes that are no text. */
export const BINARY_COLLATION = 63;

/** The character set of a collation by its number, as both servers number them; null for one that is not known. */
export function charsetOf(collation: number): string | null {
  return BY_COLLATION.get(collation) ?? null;
}

/** How texts of a character set are read; null for a set that is not known. */
export function textDecode(charset: string): TextDecode | null {
  const known = decoders.get(charset);
  if (known !== undefined) return known;
  const made = makeDecode(charset);
  if (made !== null) decoders.set(charset, made);
  return made;
}

/** How texts of a collation are read: UTF-8 where the collation is not known, which is what servers are set to. */
export function collationDecode(collation: number): TextDecode {
  return textDecode(charsetOf(collation) ?? 'utf8mb4') ?? utf8;
}

const decoders = new Map<string, TextDecode>();

/** Sets that the platform's decoder knows under another name. */
const PLATFORM_NAMES: Readonly<Record<string, string>> = {
  big5: 'big5',
  gbk: 'gbk',
  gb2312: 'gbk',
  gb18030: 'gb18030',
  sjis: 'shift_jis',
  cp932: 'shift_jis',
  ujis: 'euc-jp',
  eucjpms: 'euc-jp',
  euckr: 'euc-kr',
  ucs2: 'utf-16be',
  utf16: 'utf-16be',
  utf16le: 'utf-16le',
};

function makeDecode(charset: string): TextDecode | null {
  if (charset === 'utf8mb4' || charset === 'utf8mb3' || charset === 'utf8') return utf8;
  if (charset === 'ascii') return (bytes, start, end) => bytes.toString('latin1', start, end);
  if (charset === 'utf32') return utf32;
  const table = SINGLE_BYTE[charset];
  if (table !== undefined) return singleByte(table);
  const name = PLATFORM_NAMES[charset];
  if (name === undefined) return null;
  const decoder = new TextDecoder(name, {ignoreBOM: true});
  return (bytes, start, end) => decoder.decode(bytes.subarray(start, end));
}

/** A short text of ASCII is made faster here than by the platform. */
function utf8(bytes: Buffer, start: number, end: number): string {
  if (end - start > SHORT_BYTES) return bytes.toString('utf8', start, end);
  let text = '';
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x80) return bytes.toString('utf8', start, end);
    text += String.fromCharCode(byte);
  }
  return text;
}

const SHORT_BYTES = 12;

function utf32(bytes: Buffer, start: number, end: number): string {
  let text = '';
  for (let at = start; at + 4 <= end; at += 4) text += String.fromCodePoint(bytes.readUInt32BE(at));
  return text;
}

function singleByte(table: string): TextDecode {
  // A table of 256 characters says all of them, one of 128 those above ASCII.
  const first = 256 - table.length;
  return (bytes, start, end) => {
    let at = start;
    while (at < end && (bytes[at] ?? 0) < first) at++;
    if (at === end) return bytes.toString('latin1', start, end);
    let text = bytes.toString('latin1', start, at);
    for (; at < end; at++) {
      const byte = bytes[at] ?? 0;
      text += byte < first ? String.fromCharCode(byte) : table.charAt(byte - first);
    }
    return text;
  };
}

/** Numbers of collations by character set. @see https://mariadb.com/docs/server/reference/data-types/string-data-types/character-sets/supported-character-sets-and-collations */
const COLLATIONS: Readonly<Record<string, string>> = {
  armscii8: '32 64 1056 1088',
  ascii: '11 65 1035 1089',
  big5: '1 84 1025 1108',
  binary: '63',
  cp1250: '26 34 44 66 99 1050 1090',
  cp1251: '14 23 50-52 1074-1075',
  cp1256: '57 67 1081 1091',
  cp1257: '29 58-59 1082-1083',
  cp850: '4 80 1028 1104',
  cp852: '40 81 1064 1105',
  cp866: '36 68 1060 1092',
  cp932: '95-96 1119-1120',
  dec8: '3 69 1027 1093',
  eucjpms: '97-98 1121-1122',
  euckr: '19 85 1043 1109',
  gb18030: '248-250',
  gb2312: '24 86 1048 1110',
  gbk: '28 87 1052 1111',
  geostd8: '92-93 1116-1117',
  greek: '25 70 1049 1094',
  hebrew: '16 71 1040 1095',
  hp8: '6 72 1030 1096',
  keybcs2: '37 73 1061 1097',
  koi8r: '7 74 1031 1098',
  koi8u: '22 75 1046 1099',
  latin1: '5 8 15 31 47-49 94 1032 1071',
  latin2: '2 9 21 27 77 1033 1101',
  latin5: '30 78 1054 1102',
  latin7: '20 41-42 79 1065 1103',
  macce: '38 43 1062 1067',
  macroman: '39 53 1063 1077',
  sjis: '13 88 1037 1112',
  swe7: '10 82 1034 1106',
  tis620: '18 89 1042 1113',
  ucs2: '35 90 128-151 159 640-642 1059 1114 1152 1174 2560-2727 2744-2759',
  ujis: '12 91 1036 1115',
  utf16: '54-55 101-124 672-674 1078-1079 1125 1147 2816-2983 3000-3015',
  utf16le: '56 62 1080 1086',
  utf32: '60-61 160-183 736-738 1084-1085 1184 1206 3072-3239 3256-3271',
  utf8mb3: '33 76 83 192-215 223 576-578 1057 1107 1216 1238 2048-2215 2232-2247',
  utf8mb4: '45-46 224-247 255-271 273-275 277-294 296-298 300 303-323 608-610 1069-1070 1248 1270 2304-2471 2488-2503',
};

const BY_COLLATION: ReadonlyMap<number, string> = new Map(
  Object.entries(COLLATIONS).flatMap(([charset, ranges]) =>
    ranges.split(' ').flatMap((range) => {
      const [first = '', last = first] = range.split('-');
      const count = Number(last) - Number(first) + 1;
      return Array.from({length: count}, (_, index) => [Number(first) + index, charset] as const);
    }),
  ),
);
