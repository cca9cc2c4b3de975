import {IngestError} from '../../core/errors.ts';
import type {ConnectorDefinition} from '../../sdk/define-connector.ts';
import type {ModuleExports} from './import-code.ts';

/** The connector that a module exports: its default export, or the only export that is one. @throws INVALID_CONNECTOR */
export function definitionIn(module: ModuleExports, file: string): ConnectorDefinition {
  const {default: main, ...others} = module;
  if (isDefinition(main)) return main;
  const found = [...new Set(Object.values(others).filter(isDefinition))];
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new IngestError(
    'INVALID_CONNECTOR',
    found.length === 0 ? `${file} exports no connector.` : `${file} exports ${found.length} connectors.`,
    {
      fix: 'Export one value made by defineConnector or restConnector as the default export.',
      context: {file},
    },
  );
}

/** Looks like what `defineConnector` gives back; a definition of another copy of the SDK is one too. */
export function isDefinition(value: unknown): value is ConnectorDefinition {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'create' in value &&
    typeof value.create === 'function' &&
    'spec' in value &&
    typeof value.spec === 'object' &&
    value.spec !== null &&
    'connection' in value.spec &&
    'table' in value.spec
  );
}
