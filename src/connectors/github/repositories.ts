import {
  IngestError,
  type HttpQuery,
  type JsonObject,
  type RestCall,
  type TableOptions,
  isJsonObject,
} from '../../sdk/index.ts';
import {fetchPages, textOf} from './pages.ts';

/** A repository whose tables are read. */
export interface Repository {
  /** `owner/name`, as it was configured or is listed now. */
  readonly fullName: string;
  /** Path of its API. */
  readonly path: string;
}

/** The organisations of the connection, or the one that the table is limited to. */
export function organizationsOf(config: TableOptions, option: TableOptions = {}): readonly string[] {
  const one = option['organization'];
  return typeof one === 'string' ? [one] : unique(listOption(config, 'organizations'));
}

/**
 * The repositories whose tables are read: the one that the table is limited to; else those that the connection names and
 * all of its organisations; without any of them everything that the credentials are given.
 */
export async function* repositoriesOf(call: RestCall): AsyncGenerator<Repository, void> {
  const seen = new Set<string>();
  const fresh = (fullName: string): boolean =>
    fullName !== '' && !seen.has(fullName.toLowerCase()) && seen.add(fullName.toLowerCase()).size > 0;
  for (const fullName of namedRepositories(call)) if (fresh(fullName)) yield repository(fullName);
  for (const request of repositoryLists(call)) {
    for await (const rows of fetchPages(call, request)) {
      for (const row of rows) if (fresh(textOf(row, 'full_name'))) yield repository(textOf(row, 'full_name'));
    }
  }
}

/** The same as rows of the API, page by page; a repository that is both named and listed comes twice. */
export async function* repositoryRows(call: RestCall): AsyncGenerator<readonly JsonObject[], void> {
  for (const fullName of call.option['organization'] === undefined ? namedRepositories(call) : []) {
    const skip = missing(call);
    const {status, body} = await call.client.json(
      {
        url: repository(fullName).path,
        about: call.table,
        conditional: true,
        errors: skip.length === 0 ? [] : [{when: {status: skip}, then: 'accept'}],
      },
      call.ctx,
    );
    if (!skip.includes(status) && isJsonObject(body)) yield [body];
  }
  for (const request of repositoryLists(call)) yield* fetchPages(call, request);
}

/** Statuses that mean that a repository is not there, where the connection says that such ones are skipped. */
export function missing(call: Pick<RestCall, 'config'>): readonly number[] {
  return call.config['missing_repositories'] === 'skip' ? [404, 410, 451] : [];
}

/** Splits `owner/name`. @throws INVALID_OPTION when it is none. */
export function repository(fullName: string): Repository {
  const [owner, name, ...more] = fullName.split('/');
  if (owner === undefined || owner === '' || name === undefined || name === '' || more.length > 0) {
    throw new IngestError('INVALID_OPTION', `"${fullName}" is no repository: "owner/name" is expected.`, {
      fix: 'Correct the option repositories, or the source_schema of the table.',
    });
  }
  return {fullName, path: `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`};
}

function namedRepositories({config, option}: RestCall): readonly string[] {
  const one = option['repository'];
  return typeof one === 'string' ? [one] : listOption(config, 'repositories');
}

/** The lists that name further repositories. */
function repositoryLists(
  call: RestCall,
): readonly {readonly url: string; readonly query: HttpQuery; readonly records?: string}[] {
  const {config, option} = call;
  if (option['repository'] !== undefined) return [];
  const organizations = organizationsOf(config, option);
  const query = {sort: 'created', direction: 'asc'};
  if (organizations.length > 0 || namedRepositories(call).length > 0)
    return organizations.map((name) => ({
      url: `/orgs/${encodeURIComponent(name)}/repos`,
      query: {type: 'all', ...query},
    }));
  return typeof config['app_id'] === 'string'
    ? [{url: '/installation/repositories', query: {}, records: 'repositories'}]
    : [{url: '/user/repos', query}];
}

function listOption(options: TableOptions, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
