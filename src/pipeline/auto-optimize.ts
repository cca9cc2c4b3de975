import {messageOf} from '../core/errors.ts';
import {optimizeTable} from '../delta/optimize.ts';
import {openTable} from '../delta/table.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';

/** Fewer files are not worth a commit. */
const LEAST_FILES = 50;
/** Larger files are packed by `sluice optimize` only: so a row is written again a few times, however long the table lives. */
const SMALL_BELOW_BYTES = 16 * 1024 * 1024;
/** So much is read at the end of one trigger. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Deletion vectors do not make a file worth it by themselves. */
const NO_PURGE = 1;

/**
 * Merges some of a table's small files after a trigger, in a commit of its own that changes no row. It never fails the flow,
 * whose rows are committed: where another writer comes in between, the files wait for the next time.
 */
export async function autoOptimize(services: FlowServices, flow: ResolvedFlow, signal: AbortSignal): Promise<void> {
  if (!flow.configuration.autoOptimize || signal.aborted) return;
  const {context} = services;
  const how = {
    onlyPack: true,
    leastFiles: LEAST_FILES,
    smallBelowBytes: SMALL_BELOW_BYTES,
    maxBytes: MAX_BYTES,
    purgeAboveFraction: NO_PURGE,
  };
  try {
    const table = await openTable(context, flow.root);
    if (table === null) return;
    const {filesRemoved, filesAdded, filesGivenUp} = await optimizeTable(context, table, how, signal);
    if (filesRemoved > 0) say('INFO', 'AUTO_OPTIMIZED', `${filesRemoved} small files were merged into ${filesAdded}.`);
    if (filesGivenUp > 0)
      say('INFO', 'AUTO_OPTIMIZE_GAVE_WAY', `${filesGivenUp} small files stay, because another writer changed them.`);
  } catch (error) {
    if (!signal.aborted) say('WARN', 'AUTO_OPTIMIZE_FAILED', `Small files were not merged: ${messageOf(error)}`);
  }

  function say(level: 'INFO' | 'WARN', code: string, message: string): void {
    services.note({level, flow: flow.name, code, message});
  }
}
