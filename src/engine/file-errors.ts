import {IngestError} from '../core/errors.ts';
import type {FileInput} from './file-source.ts';

/** The error for a file that cannot be opened or is not of its format; what underlies it is kept unless it may hold values. */
export function unreadableFile(file: FileInput, cause: unknown): IngestError {
  if (cause instanceof IngestError && cause.code !== 'ENGINE_FAILED') return cause;
  const path = file.path ?? file.localPath;
  return new IngestError('BAD_RECORD', `The file "${path}" cannot be read as ${file.options.format}.`, {
    fix: 'Check that the file is whole and has the format that its name says, or leave it out by the table option "pattern".',
    context: {path},
    cause,
  });
}
