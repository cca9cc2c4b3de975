import {systemClock} from '../../core/clock.ts';
import {isIngestError, messageOf} from '../../core/errors.ts';
import {DEFAULT_LIMITS, type GatewayEvent} from '../../gateway/options.ts';
import {openManifest} from '../../staging/manifest-writer.ts';
import {retire} from '../../staging/retire.ts';
import {loadState, readEntryAt} from '../../staging/staging.ts';
import {acquireLease} from '../../state/lease.ts';
import {openGatewayStaging} from './open-gateway.ts';
import type {StagedOpening, StagedPipeline} from './staged-pipeline.ts';

/**
 * The last step of an update whose pipeline is its own gateway: deletes from staging what is applied and old enough. A gateway
 * that runs beside cleans for itself. Never throws: what stays is deleted after the next update.
 */
export async function cleanAfterUpdate(spec: StagedPipeline, opening: StagedOpening): Promise<void> {
  if (!spec.changeLog.isIntegrated) return;
  const tell = (level: GatewayEvent['level'], message: string): void =>
    opening.onEvent({type: 'retired', level, message});
  try {
    const files = await cleanNow(spec, opening);
    if (files > 0) tell('info', `${files} files of staging were no longer needed.`);
  } catch (error) {
    if (!isIngestError(error, 'CONCURRENT_RUN')) tell('warning', `Staging was not cleaned. ${messageOf(error)}`);
  }
}

async function cleanNow(spec: StagedPipeline, opening: StagedOpening): Promise<number> {
  await using opened = await openGatewayStaging(opening, spec.changeLog.gatewayId);
  const {staging} = opened;
  const {minAgeMs, maxAgeMs} = {...DEFAULT_LIMITS, ...spec.changeLog.settings};
  const nowMs = systemClock.nowMs();
  const {retiredThrough} = await loadState(staging);
  const oldest = await readEntryAt(staging, retiredThrough + 1);
  // Most updates find nothing that is old enough, and ask for no more.
  if (oldest === null || nowMs - Number(oldest.sealedAt / 1000n) < minAgeMs) return 0;
  await using _ = await acquireLease(staging.store, staging.layout.lease, systemClock);
  const manifest = await openManifest(staging, systemClock);
  const {files, resets} = await retire(manifest, {nowMs, minAgeMs, maxAgeMs});
  for (const table of resets) {
    const message = `${table} is read anew: it was not applied in time.`;
    opening.onEvent({type: 'table_reset', level: 'warning', table, message});
  }
  return files;
}
