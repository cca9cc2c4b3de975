import type {ConnectorDefinition} from '../sdk/index.ts';

/** The connectors of this package by name; each is loaded, with its driver, when a pipeline asks for it. */
export const connectors: Readonly<Record<string, () => Promise<ConnectorDefinition>>> = {
  example: async () => (await import('./example/index.ts')).example,
  files: async () => (await import('./files/index.ts')).files,
  github: async () => (await import('./github/index.ts')).github,
  hubspot: async () => (await import('./hubspot/index.ts')).hubspot,
  mysql: async () => (await import('./mysql/index.ts')).mysql,
  postgresql: async () => (await import('./postgresql/index.ts')).postgresql,
  sqlserver: async () => (await import('./sqlserver/index.ts')).sqlserver,
  stripe: async () => (await import('./stripe/index.ts')).stripe,
  zendesk: async () => (await import('./zendesk/index.ts')).zendesk,
};
