import {IngestError} from '../core/errors.ts';

/** Where a store is, taken apart. A prefix has no slash at either end. */
export type StorePlace =
  | {readonly kind: 'local'; readonly path: string}
  | {readonly kind: 's3' | 'gcs'; readonly root: string; readonly bucket: string; readonly prefix: string}
  | {
      readonly kind: 'azure';
      readonly root: string;
      readonly account: string;
      readonly host: string;
      readonly container: string;
      readonly prefix: string;
    };

/**
 * Takes a path or URL apart. Hadoop's older names `s3a` and `abfs` are taken, too.
 * @throws UNSUPPORTED for other schemes; INVALID_OPTION when a part is missing.
 */
export function parseStoreUrl(url: string): StorePlace {
  const match = /^([a-z][a-z0-9+.-]+):\/\/([^/]*)(?:\/(.*))?$/is.exec(url);
  if (match === null) return {kind: 'local', path: url};
  const [, scheme = '', authority = '', path = ''] = match;
  const prefix = path
    .split('/')
    .filter((part) => part !== '')
    .join('/');
  if (prefix.split('/').some((part) => part === '.' || part === '..')) throw malformed(url);
  switch (scheme.toLowerCase()) {
    case 'file':
      return {kind: 'local', path: url.slice('file://'.length)};
    case 's3':
    case 's3a':
      return bucketPlace('s3', url, {scheme: 's3', bucket: authority, prefix});
    case 'gs':
      return bucketPlace('gcs', url, {scheme: 'gs', bucket: authority, prefix});
    case 'abfss':
    case 'abfs':
      return azurePlace(url, authority, prefix);
    default:
      throw new IngestError('UNSUPPORTED', `The lake "${shown(url)}" is of a kind that Sluice does not know.`, {
        fix: `Give a folder, or one of ${EXAMPLES}.`,
      });
  }
}

function bucketPlace(
  kind: 's3' | 'gcs',
  url: string,
  parts: {readonly scheme: string; readonly bucket: string; readonly prefix: string},
): StorePlace {
  const {scheme, bucket, prefix} = parts;
  if (!/^[\w.-]+$/.test(bucket)) throw malformed(url);
  return {kind, bucket, prefix, root: withPrefix(`${scheme}://${bucket}`, prefix)};
}

function azurePlace(url: string, authority: string, prefix: string): StorePlace {
  const match = /^([^@:]+)@(([^.@:]+)\.[^@:]+)$/.exec(authority);
  if (match === null) throw malformed(url);
  const [, container = '', host = '', account = ''] = match;
  return {kind: 'azure', account, host, container, prefix, root: withPrefix(`abfss://${container}@${host}`, prefix)};
}

function withPrefix(root: string, prefix: string): string {
  return prefix === '' ? root : `${root}/${prefix}`;
}

const EXAMPLES = 's3://bucket/prefix, abfss://container@account.dfs.core.windows.net/prefix, gs://bucket/prefix';

function malformed(url: string): IngestError {
  return new IngestError('INVALID_OPTION', `The lake "${shown(url)}" is no URL of a store.`, {
    fix: `Write it as one of ${EXAMPLES}; credentials go under lake_options.`,
  });
}

/** Without what may be a password or a token. */
function shown(url: string): string {
  return url.replace(/:\/\/[^/@]*:[^/@]*@/, '://***@').replace(/\?.*$/, '?***');
}
