import type {JsonObject} from '../../core/json-value.ts';
import {parseTimestamp} from '../../core/time-text.ts';
import type {StructType} from '../../core/types.ts';
import {withBatchLimit} from '../../pipeline/batch-limit.ts';
import {DEFAULT_TABLE_CONFIGURATION, type ObjectSpec} from '../../pipeline/spec.ts';
import {takeStart, withStart} from '../../pipeline/start-option.ts';
import type {TableMetadata, TableOptions} from '../../sdk/contract.ts';
import type {ConnectorSpec} from '../../sdk/define-connector.ts';
import {pathReader} from '../../sdk/json-path.ts';
import {resolveOptions} from '../../sdk/options.ts';

/** The options of a table as a run takes them: the connector's own, and what the framework does for every connector. */
export interface PreviewOptions {
  readonly options: TableOptions;
  /** The rows that `start_timestamp` leaves in. @throws INVALID_OPTION when the table has no cursor that is a timestamp */
  wanted(rows: readonly JsonObject[], metadata: TableMetadata, schema: StructType): readonly JsonObject[];
}

/** @throws INVALID_OPTION for an option that neither the connector nor the framework knows, or of a wrong value */
export function previewOptions(spec: ConnectorSpec, table: string, written: TableOptions): PreviewOptions {
  const object: ObjectSpec = {
    kind: 'table',
    path: table,
    sourceCatalog: null,
    sourceSchema: null,
    sourceTable: table,
    destinationCatalog: 'main',
    destinationSchema: 'default',
    destinationTable: null,
    configuration: DEFAULT_TABLE_CONFIGURATION,
    options: written,
  };
  const started = takeStart(spec.table, withBatchLimit(object));
  const {startMicros} = started;
  return {
    options: resolveOptions(spec.table, started.object.options, table),
    wanted(rows, {cursorField = null}, schema) {
      withStart(started, {cursorField, schema});
      if (startMicros === null || cursorField === null) return rows;
      const read = pathReader(cursorField);
      return rows.filter((row) => {
        const value = read(row);
        const time = typeof value === 'string' ? parseTimestamp(value) : null;
        // What is no text of a time is for the coercion to read; a row without a cursor never lands.
        return time === null ? value !== null && value !== undefined : BigInt(time.micros) >= startMicros;
      });
    },
  };
}
