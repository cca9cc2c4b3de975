import {readFile} from 'node:fs/promises';
import {basename} from 'node:path';

import {parse, YAMLParseError} from 'yaml';

import {IngestError} from '../../core/errors.ts';
import type {ConnectorDefinition} from '../../sdk/define-connector.ts';

/** Loads a connector that is a YAML document: no code, no build. @throws INVALID_CONNECTOR, INVALID_SPEC naming file and path */
export async function loadConnectorDocument(file: string): Promise<ConnectorDefinition> {
  return documentConnector(await readFile(file, 'utf8'), file);
}

/** Makes the connector of a document's text; `file` is for messages. */
export async function documentConnector(text: string, file: string): Promise<ConnectorDefinition> {
  const {parseRestDocument} = await import('../../sdk/rest/rest-document.ts');
  return parseRestDocument(parseYaml(text, file), file);
}

/** Plain values of a YAML text. @throws INVALID_CONNECTOR with line and column */
export function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const [at] = error.linePos ?? [];
    const place = at === undefined ? file : `${file}:${at.line}:${at.col}`;
    throw new IngestError('INVALID_CONNECTOR', `${place}: this is no YAML: ${error.message.split('\n')[0] ?? ''}`, {
      fix: 'Correct the indentation or the quotes there.',
      context: {at: place},
      cause: error,
    });
  }
}

/** A module that holds a document as plain data and makes the same connector of it. */
export async function documentCode(file: string): Promise<string> {
  const value = parseYaml(await readFile(file, 'utf8'), file);
  return `import {parseRestDocument} from 'sluice/sdk';\n\nexport default parseRestDocument(${JSON.stringify(value, null, 2)}, ${JSON.stringify(basename(file))});\n`;
}
