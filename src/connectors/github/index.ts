import {restConnector, type ConnectorDefinition, type RestCall} from '../../sdk/index.ts';
import {createGitHubClient} from './client.ts';
import {organizationsOf, repositoriesOf} from './repositories.ts';
import {organizationTables, repositoryTables} from './tables.ts';

/** GitHub and GitHub Enterprise: organisations, repositories, issues, pull requests, reviews, commits and what belongs to them. */
export const github: ConnectorDefinition = restConnector({
  name: 'github',
  displayName: 'GitHub',
  description:
    'Organisations, repositories, issues, pull requests, comments, reviews and commits over the REST API, incrementally, by token or as a GitHub App.',
  connection: {
    organizations: {
      type: 'string[]',
      description: 'Organisations whose tables and repositories are read.',
    },
    repositories: {
      type: 'string[]',
      description:
        'Repositories, `owner/name`. Without them and without organizations: all that the credentials are given.',
    },
    missing_repositories: {
      type: 'string',
      enum: ['fail', 'skip'],
      default: 'fail',
      description:
        'What to do with a repository that is gone, renamed away, taken down or not shown to these credentials: GitHub does not tell which.',
    },
    page_size: {
      type: 'integer',
      default: 100,
      min: 1,
      max: 100,
      description: 'Rows of a page. Less than 100 only where answers take too long.',
    },
    base_url: {
      type: 'string',
      default: 'https://api.github.com',
      description: 'Address of the API; for GitHub Enterprise Server `https://HOST/api/v3`.',
    },
  },
  authMethods: {
    token: {
      description: 'A personal access token, fine-grained or classic.',
      options: {token: {type: 'string', required: true, secret: true, description: 'The token.'}},
    },
    app: {
      description: 'An installation of a GitHub App.',
      options: {
        app_id: {type: 'string', required: true, description: "The App's id or client id."},
        installation_id: {type: 'string', required: true, description: 'The id of its installation.'},
        private_key: {type: 'string', required: true, secret: true, description: "The App's private key, PEM."},
      },
    },
  },
  client: createGitHubClient,
  tables: [...organizationTables, ...repositoryTables],
  namespaces: {
    list: async (prefix, call) => (prefix === null || prefix.length === 0 ? namespaces(call) : []),
    tables: ([namespace = '']) =>
      Promise.resolve((namespace.includes('/') ? repositoryTables : organizationTables).map(({name}) => name)),
    options: ([namespace = '']): Readonly<Record<string, string>> =>
      namespace.includes('/') ? {repository: namespace} : {organization: namespace},
  },
  check: {url: '/rate_limit', about: 'credentials'},
});

/** Organisations, and repositories as `owner/name`. */
async function namespaces(call: RestCall): Promise<readonly (readonly string[])[]> {
  const found: (readonly string[])[] = organizationsOf(call.config).map((name) => [name]);
  for await (const {fullName} of repositoriesOf(call)) found.push([fullName]);
  return found;
}
