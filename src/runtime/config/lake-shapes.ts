import {resolve} from 'node:path';

import type {StoreOptions} from '../../storage/store-options.ts';
import {flag, number, text} from './scalar-shapes.ts';
import {INVALID, type Shape} from './shape.ts';
import {optional, struct} from './struct-shape.ts';

const s3Shape = struct(
  {
    region: optional(text('Region of the bucket; default: as the AWS chain says.')),
    endpoint: optional(text('URL of a store that speaks the protocol of S3 and is not AWS.')),
    access_key_id: optional(text('Default: the AWS credential chain.')),
    secret_access_key: optional(text('Default: the AWS credential chain.')),
    session_token: optional(text('Of temporary credentials.')),
    force_path_style: optional(flag('Bucket in the path instead of the host name; default true with an endpoint.')),
  },
  {name: 's3_options'},
);

const azureShape = struct(
  {
    endpoint: optional(text("URL of the account's blob service, where it is not that of Azure.")),
    account_key: optional(text("The account's key; default: the Azure credential chain.")),
    sas_token: optional(text('A shared access signature instead of a key.')),
    tenant_id: optional(text('With client_id and client_secret: a service principal.')),
    client_id: optional(text('Of a service principal, or alone of a user-assigned managed identity.')),
    client_secret: optional(text('Of a service principal.')),
  },
  {name: 'azure_options'},
);

const gcsShape = struct(
  {
    endpoint: optional(text('URL of an emulator; calls to it carry no credentials.')),
    project_id: optional(text('Default: as the credentials say.')),
    service_account_file: optional(text("Path of a service account's key; default: application default credentials.")),
  },
  {name: 'gcs_options'},
);

const cacheShape = struct(
  {
    folder: optional(
      text('Where copies of the files of a remote lake are kept; default: in the cache folder of the user.'),
    ),
    max_size_gb: optional(number('Limit of the copies in GB; default 20.', {integer: false, min: 0.01})),
  },
  {name: 'lake_cache'},
);

const textShape = struct(
  {s3: optional(s3Shape), azure: optional(azureShape), gcs: optional(gcsShape), cache: optional(cacheShape)},
  {name: 'lake_options', description: 'How to reach a lake in an object store; a lake uses the part of its kind.'},
);

/** `lake_options`; paths in it are as they were written. */
export const lakeOptionsShape: Shape<StoreOptions> = {
  read(node, path, context) {
    const written = textShape.read(node, path, context);
    return written === INVALID ? INVALID : storeOptionsOf(written);
  },
  describe: (definitions) => textShape.describe(definitions),
};

/** The options with their paths taken from a folder. */
export function inFolder(options: StoreOptions, folder: string): StoreOptions {
  const {gcs, cache} = options;
  const file = gcs?.serviceAccountFile;
  return {
    ...options,
    ...(file === undefined ? {} : {gcs: {...gcs, serviceAccountFile: resolve(folder, file)}}),
    ...(cache?.folder === undefined ? {} : {cache: {...cache, folder: resolve(folder, cache.folder)}}),
  };
}

type WrittenOptions = Exclude<ReturnType<(typeof textShape)['read']>, typeof INVALID>;

function storeOptionsOf({s3, azure, gcs, cache}: WrittenOptions): StoreOptions {
  return {
    ...(s3 === undefined
      ? {}
      : {
          s3: given({
            region: s3.region,
            endpoint: s3.endpoint,
            accessKeyId: s3.access_key_id,
            secretAccessKey: s3.secret_access_key,
            sessionToken: s3.session_token,
            forcePathStyle: s3.force_path_style,
          }),
        }),
    ...(azure === undefined
      ? {}
      : {
          azure: given({
            endpoint: azure.endpoint,
            accountKey: azure.account_key,
            sasToken: azure.sas_token,
            tenantId: azure.tenant_id,
            clientId: azure.client_id,
            clientSecret: azure.client_secret,
          }),
        }),
    ...(gcs === undefined
      ? {}
      : {
          gcs: given({
            endpoint: gcs.endpoint,
            projectId: gcs.project_id,
            serviceAccountFile: gcs.service_account_file,
          }),
        }),
    ...(cache === undefined ? {} : {cache: given({folder: cache.folder, maxSizeGb: cache.max_size_gb})}),
  };
}

type Given<T> = {readonly [K in keyof T]?: Exclude<T[K], undefined>};

/** The entries that have a value. */
function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>;
}
