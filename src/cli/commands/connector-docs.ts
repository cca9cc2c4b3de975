import {readFile, rename, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join, relative, resolve} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {documentedText} from '../../runtime/author/connector-docs.ts';
import {loadTarget, resolveTarget, type ConnectorTarget} from '../../runtime/author/connector-target.ts';
import {describeTables, type DescribedTable} from '../../runtime/author/describe-tables.ts';
import {entryOf} from '../../runtime/author/load-connector.ts';
import {
  interruptible,
  OK,
  printJson,
  printLines,
  silently,
  type CommandContext,
  type CommonFlags,
} from '../command-context.ts';
import {proofOf} from '../connector-proof.ts';
import {EXIT} from '../io.ts';

/** Flags of `sluice connector docs`. */
export interface ConnectorDocsFlags extends CommonFlags {
  readonly check?: boolean;
  readonly file?: string;
}

/** Writes the generated parts of a connector's document, or says whether they are up to date. */
export async function connectorDocsCommand(
  context: CommandContext,
  name: string,
  flags: ConnectorDocsFlags,
): Promise<number> {
  const {cwd} = context.io;
  const target = await resolveTarget(name, cwd);
  const file = flags.file === undefined ? await documentOf(target, cwd) : resolve(cwd, flags.file);
  const shown = relative(cwd, file);
  const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const {definition} = await loadTarget(target, cwd);
  const tables = await interruptible(context, silently, (signal) => tablesOf(target, signal));
  const after = documentedText(before, {name: definition.name, spec: definition.spec, tables});
  const isCurrent = before === after;
  const isWritten = !isCurrent && flags.check !== true;
  if (isWritten) {
    // Texts by hand stand in it too: the old file stays until the new one is whole.
    await writeFile(`${file}.new`, after);
    await rename(`${file}.new`, file);
  }
  if (flags.json === true)
    printJson(context, {
      file: shown,
      current: isCurrent || isWritten,
      tables: tables?.map((table) => table.name) ?? null,
    });
  else if (flags.quiet !== true) {
    const state = isCurrent
      ? `${shown} is up to date.`
      : isWritten
        ? `Wrote ${shown}.`
        : `${shown} is out of date. Write it anew: sluice connector docs ${name}`;
    printLines(context, [tables === null ? `${state} Without a simulator, tables are not described.` : state]);
  }
  return isCurrent || isWritten ? OK : EXIT.failed;
}

/** README.md beside the connector, NAME.md for several documents of a folder; for connectors of Sluice its manual. */
async function documentOf(target: ConnectorTarget, cwd: string): Promise<string> {
  if (target.kind === 'builtin') {
    const manual = join(cwd, 'docs', 'connectors');
    if ((await stat(manual).catch(() => null)) === null)
      throw new IngestError('INVALID_OPTION', `${target.name} is a connector of Sluice; its manual is not here.`, {
        fix: 'Name the document to write: --file FILE',
      });
    return join(manual, `${target.name}.md`);
  }
  const entry = await entryOf(target.path);
  const stem = /^(.*)\.ya?ml$/i.exec(basename(entry))?.[1];
  return join(dirname(entry), stem === undefined || stem === 'connector' ? 'README.md' : `${stem}.md`);
}

/** Tables as the connector describes them on its simulator; null without one. */
async function tablesOf(target: ConnectorTarget, signal: AbortSignal): Promise<readonly DescribedTable[] | null> {
  const found = await proofOf(target);
  if (found === null) return null;
  const {proof} = found;
  await using source = await proof.start({seed: 1, rows: 10});
  const options = Object.entries(proof.tables).map(([table, {options: own}]) => [table, own ?? {}]);
  return await describeTables({
    definition: proof.definition,
    options: source.connectionOptions,
    clock: source.clock,
    tableOptions: Object.fromEntries(options),
    signal,
  });
}
