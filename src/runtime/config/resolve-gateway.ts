import {createHash} from 'node:crypto';

import type {ChangeLogSpec, ConnectionSpec, GatewaySettings, PipelineSpec, RefreshWindow} from '../../pipeline/spec.ts';
import {childOf, type ConfigNode, scalarOf} from './config-node.ts';
import {DAYS, type GatewaySettingsText, type WindowText} from './gateway-shapes.ts';
import type {PipelineSource} from './resolve-pipeline.ts';

/** A gateway: what it follows, and for whom. */
export interface GatewaySpec {
  /** Key under `resources.pipelines`. */
  readonly key: string;
  readonly name: string;
  /** As in {@link ChangeLogSpec}. */
  readonly gatewayId: string;
  readonly connection: ConnectionSpec;
  /** Those that read its staging; their objects say which tables are wanted. */
  readonly pipelines: readonly PipelineSpec[];
  readonly settings: GatewaySettings;
}

const LONGEST_ID = 40;

/** The id of the gateway with a key: the key itself where sources can use it as a name. */
export function gatewayIdOf(key: string): string {
  const plain = key.toLowerCase().replace(/[^a-z0-9_]+/g, '_');
  if (plain === key && key.length <= LONGEST_ID) return key;
  // Two keys must not become one id.
  return `${plain.slice(0, LONGEST_ID - 9)}_${createHash('sha256').update(key).digest('hex').slice(0, 8)}`;
}

/** True for pipelines that follow a log without a gateway beside them. */
export function isIntegrated(node: ConfigNode): boolean {
  const type = scalarOf(childOf(childOf(node, 'ingestion_definition'), 'connector_type'));
  return typeof type === 'string' && type.toUpperCase() === 'CDC';
}

/** The gateway that a pipeline runs itself. */
export function ownGateway(spec: PipelineSpec): GatewaySpec {
  const gatewayId = spec.changeLog?.gatewayId ?? gatewayIdOf(spec.key);
  const settings = spec.changeLog?.settings ?? {};
  return {key: spec.key, name: spec.name, gatewayId, connection: spec.connection, pipelines: [spec], settings};
}

/** How a pipeline follows a log; null when it does not. */
export function resolveChangeLog(source: PipelineSource): ChangeLogSpec | null {
  const {key, definition, text, gateway} = source;
  const isCdc = definition.connector_type === 'CDC' || gateway !== null;
  if (text.gateway_settings !== undefined && (!isCdc || gateway !== null)) {
    source.report('gateway_settings', {
      code: 'INVALID_SPEC',
      message: isCdc ? `they are those of gateway "${gateway}"` : 'this pipeline follows no log',
      fix: isCdc ? 'Write them beside the gateway_definition.' : 'Remove them, or set connector_type: CDC.',
    });
  }
  if (!isCdc) {
    for (const name of ['source_configurations', 'full_refresh_window'] as const) {
      if (definition[name] === undefined) continue;
      source.report(name, {
        code: 'INVALID_SPEC',
        message: 'it is about the log of a database, which this pipeline does not follow',
        fix: 'Remove it, or set connector_type: CDC.',
      });
    }
    return null;
  }
  const slot = definition.source_configurations
    ?.map(({catalog}) => catalog.postgres?.slot_config)
    .find((one) => one !== undefined);
  return {
    gatewayId: gatewayIdOf(gateway ?? key),
    isIntegrated: gateway === null,
    isContinuous: text.continuous === true,
    slotName: slot?.slot_name ?? null,
    publicationName: slot?.publication_name ?? null,
    fullRefreshWindow:
      definition.full_refresh_window === undefined ? null : windowOf(definition.full_refresh_window, source),
    settings: gatewaySettingsOf(text.gateway_settings),
  };
}

const HOUR_MS = 3_600_000;
const MEGABYTE = 1_000_000;

/** `gateway_settings` in the units of the gateway. */
export function gatewaySettingsOf(text: GatewaySettingsText | undefined): GatewaySettings {
  const {
    snapshot_megabytes_per_second: megabytes,
    snapshot_tables_at_once: parallelTables,
    snapshot_chunks_at_once: parallelChunks,
    staging_retention_days: days,
    staging_keep_hours: hours,
    staging_compression: compression,
  } = text ?? {};
  return {
    ...(megabytes === undefined ? {} : {snapshotBytesPerSecond: megabytes * MEGABYTE}),
    ...(parallelTables === undefined ? {} : {parallelTables}),
    ...(parallelChunks === undefined ? {} : {parallelChunks}),
    ...(days === undefined ? {} : {maxAgeMs: days * 24 * HOUR_MS}),
    ...(hours === undefined ? {} : {minAgeMs: hours * HOUR_MS}),
    ...(compression === undefined ? {} : {logCompression: compression, snapshotCompression: compression}),
  };
}

function windowOf(text: WindowText, source: PipelineSource): RefreshWindow {
  const timeZone = text.time_zone_id ?? 'UTC';
  if (!isTimeZone(timeZone)) {
    source.report('full_refresh_window.time_zone_id', {
      code: 'INVALID_SPEC',
      message: `"${timeZone}" is no time zone`,
      fix: 'Write one of the IANA names, e.g. UTC or Europe/Berlin.',
    });
  }
  const days = (text.days_of_week ?? []).map((day) => DAYS.findIndex((known) => known === day));
  return {startHour: text.start_hour, daysOfWeek: days, timeZone};
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', {timeZone: name});
    return true;
  } catch {
    return false;
  }
}
