import {readFile} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';

import {IngestError} from '../core/errors.ts';
import type {ConnectorTarget} from '../runtime/author/connector-target.ts';
import {entryOf} from '../runtime/author/load-connector.ts';

/** A value of an option. */
type OptionText = string | number | boolean | readonly string[];

/** Options by name, as a JSON file gives them; the connector's spec types them. */
export type OptionRecord = Readonly<Record<string, OptionText>>;

/** Name of the file with options by table, beside a connector. */
export const TABLE_CONFIG = 'dev_table_config.json';

/** Options of a connection from a JSON file. @throws INVALID_OPTION naming the file, never a value */
export async function readConnectionOptions(file: string): Promise<OptionRecord> {
  return optionsIn(await readObject(file), file);
}

/** Options by table, from the named file, else from the one beside the connector; none when there is none. @throws INVALID_OPTION */
export async function readTableOptions(
  target: ConnectorTarget,
  named: string | undefined,
  cwd: string,
): Promise<Readonly<Record<string, OptionRecord>>> {
  const beside = target.kind === 'path' ? join(dirname(await entryOf(target.path)), TABLE_CONFIG) : null;
  const file = named === undefined ? beside : resolve(cwd, named);
  if (file === null || (named === undefined && (await readFile(file).catch(() => null)) === null)) return {};
  const tables = Object.entries(await readObject(file));
  return Object.fromEntries(tables.map(([table, options]) => [table, optionsIn(options, `${file}: ${table}`)]));
}

async function readObject(file: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new IngestError('INVALID_OPTION', `${file} cannot be read.`, {fix: 'Correct the path.', cause});
  });
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return {...value};
  } catch {
    // Told below; the parser's message would quote the file, which may hold secrets.
  }
  throw new IngestError('INVALID_OPTION', `${file} holds no JSON object.`, {
    fix: 'Write options as {"name": "value"}.',
  });
}

function optionsIn(value: unknown, where: string): OptionRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new IngestError('INVALID_OPTION', `${where} is no mapping of options.`, {
      fix: 'Write options as {"name": "value"}.',
    });
  const options: Record<string, OptionText> = {};
  for (const [name, option] of Object.entries(value)) {
    if (isOption(option)) options[name] = option;
    else if (option !== null)
      throw new IngestError('INVALID_OPTION', `${where}: "${name}" is no text, number, true, false or list of texts.`, {
        fix: 'Write it as one of them.',
      });
  }
  return options;
}

function isOption(value: unknown): value is OptionText {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string');
  return ['string', 'number', 'boolean'].includes(typeof value);
}
