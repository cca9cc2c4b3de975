import {IngestError} from '../core/errors.ts';
import {FRAMEWORK_OPTIONS} from '../sdk/framework-options.ts';
import {resolveOptions} from '../sdk/options.ts';
import type {ObjectSpec} from './spec.ts';

const NAME = 'max_records_per_batch';

/**
 * The object with the option `max_records_per_batch`, where a community connector's options say it, as the setting that it is: the
 * framework keeps to it for every connector.
 * @throws INVALID_OPTION when it is no positive integer, or the settings of the table say another number.
 */
export function withBatchLimit(object: ObjectSpec): ObjectSpec {
  const {[NAME]: given, ...options} = object.options;
  if (given === undefined) return object;
  const resolved = resolveOptions({[NAME]: FRAMEWORK_OPTIONS[NAME]}, {[NAME]: given}, object.path)[NAME];
  const {maxRecordsPerBatch} = object.configuration;
  if (typeof resolved !== 'number') return object;
  if (maxRecordsPerBatch !== null && maxRecordsPerBatch !== resolved) {
    throw new IngestError('INVALID_OPTION', `${object.path}: ${NAME} is given twice, with different values.`, {
      fix: `Keep the one of table_configuration.`,
      context: {path: object.path, option: NAME},
    });
  }
  return {...object, options, configuration: {...object.configuration, maxRecordsPerBatch: resolved}};
}
