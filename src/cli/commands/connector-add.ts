import {stat} from 'node:fs/promises';
import {resolve} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {addConnector, fetchListed, loadAddedConnector} from '../../runtime/author/added-connectors.ts';
import {CONNECTORS_FILE, type AddedConnector} from '../../runtime/author/connectors-file.ts';
import {listConnectors, type ListedConnector} from '../../runtime/author/list-connectors.ts';
import {
  interruptible,
  OK,
  printJson,
  printLines,
  printWidth,
  silently,
  type CommandContext,
  type CommonFlags,
} from '../command-context.ts';
import {visible} from '../terminal-text.ts';
import {tableLines} from '../text-table.ts';

/** Flags of `sluice connector add`. */
export interface ConnectorAddFlags extends CommonFlags {
  readonly sha256?: string;
  readonly ref?: string;
  readonly folder?: string;
  readonly name?: string;
}

/** Flags of `sluice connector list`. */
export interface ConnectorListFlags extends CommonFlags {
  readonly index?: string;
}

/** Adds a connector of others to the project in this folder, or fetches the copies that its list names. */
export async function connectorAddCommand(
  context: CommandContext,
  source: string | undefined,
  flags: ConnectorAddFlags,
): Promise<number> {
  if (source === undefined) return fetchCommand(context, flags);
  const {cwd} = context.io;
  const {sha256, ref, folder, name} = flags;
  const added = await interruptible(context, silently, (signal) =>
    addConnector({
      source,
      project: cwd,
      cwd,
      signal,
      ...(sha256 === undefined ? {} : {sha256}),
      ...(ref === undefined ? {} : {ref}),
      ...(folder === undefined ? {} : {folder}),
      ...(name === undefined ? {} : {name}),
    }),
  );
  if (flags.json === true) printJson(context, added);
  else if (flags.quiet !== true)
    printLines(context, [
      added.replaced === null
        ? `Added ${added.name} to ${CONNECTORS_FILE}. Use it in a connection:`
        : `Replaced ${added.name} in ${CONNECTORS_FILE}; it was ${visible(placeText(added.replaced))}. Use it in a connection:`,
      '',
      '  connections:',
      `    my_${added.name.replaceAll('-', '_')}:`,
      `      connector: ${added.name}`,
      ...(await optionLines(added.name, cwd)),
    ]);
  return OK;
}

function placeText({source, commit, sha256}: AddedConnector): string {
  const pin = commit ?? sha256;
  return pin === null ? source : `${source} at ${pin.slice(0, 12)}`;
}

/** The options that a connection needs, from variables of the environment: nobody is led to write secrets into a file. */
async function optionLines(name: string, cwd: string): Promise<readonly string[]> {
  const {definition} = await loadAddedConnector(name, cwd);
  const {connection, authMethods = {}} = definition.spec;
  const [login] = Object.values(authMethods);
  const needed = Object.entries({...connection, ...login?.options}).filter(([, {required}]) => required === true);
  if (needed.length === 0) return [];
  const variable = (option: string): string => `${definition.name}_${option}`.toUpperCase().replaceAll('-', '_');
  return ['      options:', ...needed.map(([option]) => `        ${option}: \${env.${variable(option)}}`)];
}

async function fetchCommand(context: CommandContext, flags: ConnectorAddFlags): Promise<number> {
  const given = (['sha256', 'ref', 'folder', 'name'] as const).find((flag) => flags[flag] !== undefined);
  if (given !== undefined)
    throw new IngestError('INVALID_OPTION', `--${given} needs a SOURCE.`, {fix: 'Name what to add.'});
  const fetched = await interruptible(context, silently, (signal) => fetchListed(context.io.cwd, signal));
  if (flags.json === true) printJson(context, {fetched});
  else if (flags.quiet !== true)
    printLines(context, [
      fetched.length === 0 ? `All copies of ${CONNECTORS_FILE} are here.` : `Fetched ${fetched.join(', ')}.`,
    ]);
  return OK;
}

/** Lists connectors with what they offer and where they come from. */
export async function connectorListCommand(context: CommandContext, flags: ConnectorListFlags): Promise<number> {
  const {cwd} = context.io;
  const named = flags.index === undefined ? resolve(cwd, 'registry.json') : resolve(cwd, flags.index);
  const isThere = (await stat(named).catch(() => null)) !== null;
  if (flags.index !== undefined && !isThere)
    throw new IngestError('INVALID_OPTION', `There is no index ${flags.index}.`, {fix: 'Correct --index.'});
  const connectors = await listConnectors(cwd, isThere ? named : null);
  if (flags.json === true) printJson(context, {connectors});
  else
    printLines(
      context,
      tableLines(
        {
          columns: ['NAME', 'VERSION', 'MATURITY', 'AUTH', 'TABLES', 'ORIGIN'].map((title) => ({title, align: 'left'})),
          rows: connectors.map(rowOf),
        },
        {width: printWidth(context), paint: context.paint},
      ),
    );
  for (const {name, problem} of connectors)
    if (problem !== null && flags.json !== true)
      context.io.stderr.write(`${context.errorPaint.yellow('warning:')} ${visible(name)}: ${visible(problem)}\n`);
  return OK;
}

function rowOf({name, version, maturity, auth, tables, origin}: ListedConnector): readonly string[] {
  const shown = tables === null ? '?' : tables.length > 4 ? `${tables.length} tables` : tables.join(', ');
  return [name, version ?? '-', maturity ?? '-', auth.join(', ') || '-', shown, origin].map(visible);
}
