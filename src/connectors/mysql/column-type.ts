import type {DataType, PlainJson} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {BINARY_COLLATION} from '../../wire/binlog/charsets.ts';
import type {BinlogColumn} from '../../wire/binlog/table-map.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';

/** Types that the log files under bytes: only the catalog tells them. */
export type HiddenType = 'uuid' | 'inet4' | 'inet6';

/** What values of a column are: all that reading rows of the log and of snapshots takes. */
export interface ColumnType {
  /** One of the log's codes, see `TYPE`. */
  readonly code: number;
  /** As `BinlogColumn.meta`. */
  readonly meta: number;
  readonly isUnsigned: boolean;
  readonly collation: number;
  readonly labels: readonly string[];
  readonly hidden: HiddenType | null;
}

/** The type as it is kept in schema frames; what is usual is left out. */
export function typeToJson(type: ColumnType): PlainJson {
  return {
    code: type.code,
    ...(type.meta !== 0 && {meta: type.meta}),
    ...(type.isUnsigned && {unsigned: true}),
    ...(type.collation !== 0 && {collation: type.collation}),
    ...(type.labels.length > 0 && {labels: type.labels}),
    ...(type.hidden !== null && {hidden: type.hidden}),
  };
}

/** Reads what {@link typeToJson} wrote. @throws STAGING_DAMAGED when it is something else */
export function typeFromJson(json: PlainJson): ColumnType {
  const fields = typeof json === 'object' && json !== null && !Array.isArray(json) ? json : {};
  const {code, meta = 0, unsigned, collation = 0, labels = [], hidden = null} = fields as Record<string, PlainJson>;
  const isHidden = hidden === null || hidden === 'uuid' || hidden === 'inet4' || hidden === 'inet6';
  if (typeof code !== 'number' || typeof meta !== 'number' || typeof collation !== 'number' || !isHidden) {
    throw new IngestError('STAGING_DAMAGED', 'The type of a staged column cannot be read.', {
      fix: 'Refresh the table in full.',
    });
  }
  const texts = Array.isArray(labels) ? labels.map(String) : [];
  return {code, meta, collation, hidden, isUnsigned: unsigned === true, labels: texts};
}

/** The type of a column that the log describes. */
export function typeOfBinlog(column: BinlogColumn, hidden: HiddenType | null): ColumnType {
  const {type, meta, isUnsigned, collation, labels} = column;
  return {code: type, meta, isUnsigned, collation, labels, hidden};
}

/** The column as the log's readers take it. */
export function toBinlogColumn(name: string, isNullable: boolean, type: ColumnType): BinlogColumn {
  const {code, meta, isUnsigned, collation, labels} = type;
  return {name, type: code, meta, isUnsigned, collation, labels, isNullable};
}

/** The widths at which a column of bytes may be something else. */
export function mayBeHidden({type, meta, collation}: BinlogColumn): boolean {
  return type === TYPE.string && collation === BINARY_COLLATION && (meta === 16 || meta === 4);
}

/** True when values of the type are bytes. */
export function isBytes(type: ColumnType): boolean {
  if (type.hidden !== null) return false;
  switch (type.code) {
    case TYPE.bit:
      return type.meta !== 1;
    case TYPE.geometry:
    case TYPE.vector:
      return true;
    case TYPE.varchar:
    case TYPE.string:
    case TYPE.blob:
    case TYPE.blobCompressed:
    case TYPE.varcharCompressed:
      return type.collation === BINARY_COLLATION;
    default:
      return false;
  }
}

/** What a column lands as. */
export function landedType(type: ColumnType): DataType {
  const {code, meta, isUnsigned} = type;
  switch (code) {
    case TYPE.tiny:
      return 'short';
    case TYPE.short:
      return isUnsigned ? 'integer' : 'short';
    case TYPE.int24:
      return 'integer';
    case TYPE.long:
      return isUnsigned ? 'long' : 'integer';
    case TYPE.longlong:
      return isUnsigned ? {type: 'decimal', precision: 20, scale: 0} : 'long';
    case TYPE.float:
      return 'float';
    case TYPE.double:
      return 'double';
    case TYPE.decimal: {
      const [precision, scale] = [meta >> 8, meta & 0xff];
      return precision > MAX_PRECISION ? 'string' : {type: 'decimal', precision, scale};
    }
    case TYPE.date:
      return 'date';
    case TYPE.datetime:
    case TYPE.datetime2:
      return 'timestamp_ntz';
    case TYPE.timestamp:
    case TYPE.timestamp2:
      return 'timestamp';
    case TYPE.bit:
      return meta === 1 ? 'boolean' : 'binary';
    default:
      return isBytes(type) ? 'binary' : 'string';
  }
}

/** Digits that a decimal of Delta holds. */
const MAX_PRECISION = 38;
