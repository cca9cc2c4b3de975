import {IngestError, messageOf} from '../core/errors.ts';

/**
 * An error of DuckDB as one of ours. The message keeps DuckDB's kind and first line, with everything quoted and every
 * number masked: DuckDB puts row values there, and messages of ours never hold any. For the same reason the error
 * itself is not kept as cause.
 */
export function engineError(error: unknown): IngestError {
  if (error instanceof IngestError) return error;
  const text = messageOf(error);
  // DuckDB has no error codes: the kind at the start of the text is all there is.
  if (text.includes('No space left on device') || text.includes('max_temp_directory_size')) {
    return new IngestError('STORAGE_FULL', 'The engine found no space left on the disk it writes to.', {
      fix: 'Free some space in the lake or the temporary folder.',
    });
  }
  if (text.startsWith('Out of Memory Error')) {
    return new IngestError('OUT_OF_MEMORY', 'The engine ran out of its memory limit.', {
      fix: 'Raise the memory limit, or lower the rows per batch.',
    });
  }
  return new IngestError('ENGINE_FAILED', `The engine failed: ${maskedFirstLine(text)}`, {
    fix: 'Run again with the debug log, and report it with the message if it happens again.',
  });
}

/** What every method of a closed engine throws. */
export function engineClosed(): IngestError {
  return new IngestError('ENGINE_FAILED', 'The engine is closed.');
}

const MAX_MESSAGE_LENGTH = 300;

function maskedFirstLine(text: string): string {
  const line = text.split('\n', 1)[0] ?? '';
  const kept = KEEPS_NAMES.test(line) ? line.replaceAll(/'[^']*'?/gu, "'...'") : masked(line);
  return kept.length > MAX_MESSAGE_LENGTH ? `${kept.slice(0, MAX_MESSAGE_LENGTH)}...` : kept;
}

/** Kinds whose double quotes hold names of columns, tables and files, not values. */
const KEEPS_NAMES = /^(Binder|Catalog|Parser|IO|Permission|Not implemented) Error/u;

/** Invariant 11: what may be a value is masked. */
function masked(line: string): string {
  return line
    .replaceAll(/'[^']*'?/gu, "'...'")
    .replaceAll(/"[^"]*"?/gu, '"..."')
    .replaceAll(/(?<![\w.])[-+]?\d[\w.:+-]*/gu, '...');
}
