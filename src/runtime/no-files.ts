import {IngestError} from '../core/errors.ts';
import type {SourceFiles} from '../sdk/contract.ts';

/** For sources that have no files. */
export const noFiles: SourceFiles = {list: refuse, inferSchema: refuse};

function refuse(): Promise<never> {
  return Promise.reject(new IngestError('UNSUPPORTED', 'This source has no files.', {class: 'bug'}));
}
