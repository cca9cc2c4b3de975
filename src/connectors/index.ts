import type {ConnectorDefinition} from '../sdk/index.ts';

/** Every connector that comes with Sluice, by its name; one line per folder. Loaded when a connection needs it. */
export const connectors: Readonly<Record<string, () => Promise<ConnectorDefinition>>> = {
  postgresql: async () => (await import('./postgresql/index.ts')).postgresql,
};
