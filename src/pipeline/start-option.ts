import {IngestError} from '../core/errors.ts';
import {fieldAt} from '../core/schema.ts';
import {formatTimestamp} from '../core/time-text.ts';
import type {StructType} from '../core/types.ts';
import {cursorMicros} from '../sdk/cursor.ts';
import type {OptionSpecs} from '../sdk/define-connector.ts';
import type {ObjectSpec} from './spec.ts';

const NAME = 'start_timestamp';

/** An object, and the `start_timestamp` of its options that is the framework's to keep: null where there is none, or the connector takes it itself. */
export interface StartedObject {
  readonly object: ObjectSpec;
  readonly startMicros: bigint | null;
}

/**
 * Takes `start_timestamp` out of the options of a connector that knows nothing of it.
 * @throws INVALID_OPTION when it is no timestamp.
 */
export function takeStart(declared: OptionSpecs, object: ObjectSpec): StartedObject {
  const {[NAME]: given, ...options} = object.options;
  if (given === undefined || NAME in declared) return {object, startMicros: null};
  try {
    return {object: {...object, options}, startMicros: cursorMicros(String(given))};
  } catch (cause) {
    throw refused(object, 'is no timestamp', 'Write it like 2026-01-31T12:00:00Z.', cause);
  }
}

/**
 * The object as it is when rows whose cursor is before the start stay out, whatever the connector reads.
 * @throws INVALID_OPTION when the table has no cursor that is a timestamp.
 */
export function withStart(
  {object, startMicros}: StartedObject,
  {cursorField, schema}: {readonly cursorField: string | null; readonly schema: StructType},
): ObjectSpec {
  if (startMicros === null) return object;
  const type = cursorField === null ? undefined : fieldAt(schema, cursorField)?.type;
  if (cursorField === null || (type !== 'timestamp' && type !== 'timestamp_ntz')) {
    throw refused(
      object,
      'needs a cursor that is a timestamp, and the table has none',
      'Remove it, or say by row_filter which rows are wanted.',
    );
  }
  const column = cursorField.split('.').map((name) => `\`${name.replaceAll('`', '``')}\``);
  const isLater = `${column.join('.')} >= TIMESTAMP '${formatTimestamp(startMicros)}'`;
  const {rowFilter} = object.configuration;
  return {
    ...object,
    configuration: {...object.configuration, rowFilter: rowFilter === null ? isLater : `(${rowFilter}) AND ${isLater}`},
  };
}

function refused({path}: ObjectSpec, what: string, fix: string, cause?: unknown): IngestError {
  return new IngestError('INVALID_OPTION', `${path}: ${NAME} ${what}.`, {
    fix,
    context: {path, option: NAME},
    ...(cause === undefined ? {} : {cause}),
  });
}
