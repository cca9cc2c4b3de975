import {IngestError} from '../../core/errors.ts';
import type {RestoredTable} from '../../runtime/api.ts';
import {
  interruptible,
  lakeAlone,
  lakeOptions,
  OK,
  printJson,
  printLines,
  silently,
  type CommandContext,
  type ConfigFlags,
} from '../command-context.ts';
import {jsonText} from '../json-text.ts';
import {countText, sizeText} from '../plain-words.ts';
import {visible} from '../terminal-text.ts';

/** Flags of `sluice restore`: one of the first two. */
export interface RestoreFlags extends ConfigFlags {
  readonly version?: number;
  readonly timestamp?: string;
  readonly dryRun?: boolean;
}

/** Puts a table back to an older version, together with the offset of its flow. */
export async function restoreCommand(context: CommandContext, table: string, flags: RestoreFlags): Promise<number> {
  const to = flags.version === undefined ? flags.timestamp : String(flags.version);
  if (to === undefined || (flags.version !== undefined && flags.timestamp !== undefined))
    throw new IngestError('INVALID_OPTION', 'A restore needs either --version or --timestamp.', {
      fix: `See the versions with: sluice history ${table}`,
    });
  const lake = await lakeAlone(context, flags);
  const runtime = await context.services.runtime();
  const done = await interruptible(context, silently, (signal) =>
    runtime.restoreTable(table, {...lakeOptions(context, lake, signal), to, dryRun: flags.dryRun === true}),
  );
  if (flags.json === true) printJson(context, {...done, dryRun: flags.dryRun === true});
  else if (flags.quiet !== true) printLines(context, lines(done, flags.dryRun === true));
  if (done.warning !== null && flags.json !== true)
    context.io.stderr.write(`${context.errorPaint.yellow('warning:')} ${visible(done.warning)}\n`);
  return OK;
}

function lines(done: RestoredTable, dryRun: boolean): readonly string[] {
  const name = visible(done.table);
  if (done.restoredVersion === done.fromVersion)
    return [`${name} is at version ${done.fromVersion}: nothing to restore.`];
  const files = `${countText(done.filesRestored)} files (${sizeText(done.bytesRestored)}) come back, ${countText(done.filesRemoved)} (${sizeText(done.bytesRemoved)}) go`;
  const batch = done.restoredBatchId === null ? 'no batch: it reads from the start' : `batch ${done.restoredBatchId}`;
  return [
    done.newVersion === null
      ? `${name} would go from version ${done.fromVersion} back to ${done.restoredVersion}.`
      : `${name} is what it was at version ${done.restoredVersion} (version ${done.newVersion}).`,
    `${files}${done.metadataRestored ? '; columns and properties are those of then' : ''}.`,
    `The flow goes on after ${batch}, at offset ${visible(jsonText(done.offset))}.`,
    ...(dryRun ? ['Nothing was changed: this was a dry run.'] : []),
  ];
}
