import {relative, sep} from 'node:path';
import {fileURLToPath} from 'node:url';

import {IngestError} from '../core/errors.ts';
import type {Store} from '../storage/store.ts';
import {decodePath, objectNameOf} from './file-path.ts';

/**
 * The object name of a file that the log names by relative path or by URI.
 * @throws UNSUPPORTED when it lies outside of the store, as the files of a shallow clone do.
 */
export function storedNameOf(store: Store, root: string, path: string): string {
  const name = objectNameOf(root, path) ?? nameInside(store.root, path);
  if (name !== null) return name;
  throw new IngestError('UNSUPPORTED', `Table ${root} has a file outside of the lake: ${path}`, {
    fix: 'Copy the table with its data into the lake (a deep clone).',
    context: {table: root, path},
  });
}

function nameInside(storeRoot: string, path: string): string | null {
  if (storeRoot.includes('://')) return nameInBucket(storeRoot, path);
  if (!path.startsWith('/') && !path.startsWith('file:')) return null;
  const absolute = path.startsWith('/') ? path : fileURLToPath(path.replace(/^file:\/*/, 'file:///'));
  const inside = relative(storeRoot, absolute);
  return inside.startsWith('..') || inside === '' ? null : inside.split(sep).join('/');
}

/** Writers spell the scheme of one bucket as they like: `s3a`, `abfs`; after it, the place must be the same. */
function nameInBucket(storeRoot: string, path: string): string | null {
  const [placeOfStore, placeOfFile] = [storeRoot, path].map((url) => /^(\w+):\/\/(.*)$/s.exec(url));
  const [, storeScheme = '', place = ''] = placeOfStore ?? [];
  const [, fileScheme = '', file = ''] = placeOfFile ?? [];
  const isSame = (SAME_SCHEME[fileScheme] ?? fileScheme) === storeScheme && file.startsWith(`${place}/`);
  return isSame ? decodePath(file.slice(place.length + 1)) : null;
}

const SAME_SCHEME: Readonly<Record<string, string>> = {s3a: 's3', s3n: 's3', abfs: 'abfss'};
