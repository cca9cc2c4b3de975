import type {ConnectorDefinition} from '../sdk/index.ts';

/** The connectors of this package by name; each is loaded, with its driver, when a pipeline asks for it. */
export const connectors: Readonly<Record<string, () => Promise<ConnectorDefinition>>> = {
  example: async () => (await import('./example/index.ts')).example,
  files: async () => (await import('./files/index.ts')).files,
  postgresql: async () => (await import('./postgresql/index.ts')).postgresql,
};
