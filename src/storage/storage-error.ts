import type {ErrorCode} from '../core/error-codes.ts';
import {IngestError, messageOf} from '../core/errors.ts';

/** The `code` of a Node.js system error, or null for anything else. */
export function systemCode(error: unknown): string | null {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : null;
}

/** Turns a file system error into STORAGE_FULL, STORAGE_READ_ONLY or STORAGE_FAILED; other IngestErrors stay as they are. */
export function storageError(error: unknown, action: string, path: string): IngestError {
  if (error instanceof IngestError) return error;
  const systemErrorCode = systemCode(error);
  const [code, fix] = KNOWN[systemErrorCode ?? ''] ?? UNKNOWN;
  return new IngestError(code, `Cannot ${action} ${path}: ${messageOf(error)}`, {
    fix,
    cause: error,
    context: {path, systemCode: systemErrorCode},
  });
}

type Answer = readonly [ErrorCode, string];

const FULL: Answer = [
  'STORAGE_FULL',
  'Free some space or put the lake on a larger volume, then run again; nothing half-written is visible.',
];
const READ_ONLY: Answer = [
  'STORAGE_READ_ONLY',
  'Give the user that runs Sluice the right to write there, or mount the volume writable.',
];
const UNKNOWN: Answer = ['STORAGE_FAILED', 'Look at the state of the volume; the run can be repeated.'];

const KNOWN: Readonly<Record<string, Answer>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EROFS: READ_ONLY,
  EACCES: READ_ONLY,
  EPERM: READ_ONLY,
  EMFILE: ['STORAGE_FAILED', 'Raise the limit of open files (ulimit -n).'],
  ENFILE: ['STORAGE_FAILED', 'Raise the limit of open files of the machine.'],
  ENAMETOOLONG: [
    'STORAGE_FAILED',
    'Use shorter catalog, schema and table names, or a lake folder with a shorter path.',
  ],
  ENOTDIR: ['STORAGE_FAILED', 'A file is where a folder must be: move it away.'],
};

/** As {@link storageError} for the local copies of a remote lake: what helps is another. */
export function cacheError(error: unknown, folder: string): IngestError {
  if (error instanceof IngestError) return error;
  const code = systemCode(error);
  const full = storageError(error, 'keep local copies in', folder);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new IngestError('STORAGE_FULL', full.message, {
      fix: 'Free some space, or set lake_options.cache: max_size_gb lower, or folder to a larger volume. Copies can be deleted at any time; the lake itself is not affected.',
      cause: error,
      context: full.context,
    });
  }
  if (code === null || !UNFIT.has(code)) return full;
  return new IngestError(full.code, full.message, {
    class: 'config',
    fix: 'Set lake_options.cache.folder to a folder that can be written, on a file system with hard links such as ext4, xfs, APFS or NTFS.',
    cause: error,
    context: full.context,
  });
}

const UNFIT: ReadonlySet<string> = new Set(['EACCES', 'EROFS', 'ENOTDIR', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV']);
