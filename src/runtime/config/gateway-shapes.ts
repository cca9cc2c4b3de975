import {list} from './collection-shapes.ts';
import {flag, number, text, word} from './scalar-shapes.ts';
import type {Shape} from './shape.ts';
import {ignored, optional, required, struct, type Field} from './struct-shape.ts';

/** `gateway_definition` as written. */
export interface GatewayDefinitionText {
  readonly connection_name: string;
}

const STORAGE = 'the staging area lies in the lake, below _sluice/staging';

/** `gateway_definition`: a pipeline that follows a database all the time. */
export const gatewayDefinitionShape: Shape<GatewayDefinitionText> = struct(
  {
    connection_name: required(text('Name of the connection to the database.')),
    gateway_storage_catalog: ignored(STORAGE, true),
    gateway_storage_schema: ignored(STORAGE, true),
    gateway_storage_name: ignored(STORAGE, true),
    connection_parameters: ignored('the connection names the database', true),
    connection_id: ignored('connection_name says it', true),
  },
  {name: 'gateway_definition'},
);

/** `gateway_settings` as written. */
export interface GatewaySettingsText {
  readonly snapshot_megabytes_per_second: number | undefined;
  readonly snapshot_tables_at_once: number | undefined;
  readonly snapshot_chunks_at_once: number | undefined;
  readonly staging_retention_days: number | undefined;
  readonly staging_keep_hours: number | undefined;
  readonly staging_compression: 'none' | 'brotli' | undefined;
}

/** `gateway_settings`: how a gateway works. */
export const gatewaySettingsShape: Shape<GatewaySettingsText> = struct(
  {
    snapshot_megabytes_per_second: optional(
      number('How fast snapshots are read, all together; default: as fast as they come.', {integer: false, min: 0.01}),
    ),
    snapshot_tables_at_once: optional(
      number('Tables whose snapshots are read at once; default 2.', {integer: true, min: 1, max: 64}),
    ),
    snapshot_chunks_at_once: optional(
      number('Chunks of snapshots that are read at once, of all tables together; default 4.', {
        integer: true,
        min: 1,
        max: 64,
      }),
    ),
    staging_retention_days: optional(
      number('What is not applied after so many days is deleted, and its tables are read anew; default 30.', {
        integer: false,
        min: 1,
        max: 3650,
      }),
    ),
    staging_keep_hours: optional(
      number('What all pipelines applied stays for so many hours; default 1.', {integer: false, min: 0, max: 87_600}),
    ),
    staging_compression: optional(
      word<'none' | 'brotli'>('Compression of staged logs and snapshots: less room, more work; default none.', [
        'none',
        'brotli',
      ]),
    ),
  },
  {name: 'gateway_settings'},
);

/** A replication slot and a publication that somebody else made. */
export interface SlotText {
  readonly slot_name: string | undefined;
  readonly publication_name: string | undefined;
}

/** One entry of `source_configurations` as written. */
export interface SourceConfigurationText {
  readonly catalog: {
    readonly source_catalog: string | undefined;
    readonly postgres: {readonly slot_config: SlotText | undefined} | undefined;
  };
}

/** `source_configurations` as written. */
export const sourceConfigurationsShape: Shape<readonly SourceConfigurationText[]> = list(
  struct({
    catalog: required(
      struct({
        source_catalog: optional(text('The database.')),
        postgres: optional(
          struct({
            slot_config: optional(
              struct({
                slot_name: optional(
                  text('A logical replication slot that is there; default: one is made, and removed with the gateway.'),
                ),
                publication_name: optional(
                  text('A publication that is there; default: one is made, and removed with the gateway.'),
                ),
              }),
            ),
          }),
        ),
      }),
    ),
  }),
  'a list of configurations by catalog',
);

/** `full_refresh_window` as written. */
export interface WindowText {
  readonly start_hour: number;
  readonly days_of_week: readonly string[] | undefined;
  readonly time_zone_id: string | undefined;
}

/** Days as Lakeflow writes them, from Sunday on. */
export const DAYS = ['SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY'] as const;

/** `full_refresh_window`: when snapshots may begin. */
export const fullRefreshWindowShape: Shape<WindowText> = struct({
  start_hour: required(
    number('Hour of the day at which the window begins; it is five hours long.', {integer: true, min: 0, max: 23}),
  ),
  days_of_week: optional(list(word('A day of the week.', DAYS), 'a list of days')),
  time_zone_id: optional(text('Time zone of the hour, e.g. Europe/Berlin; default UTC.')),
});

/** Keys of a gateway pipeline beside those that do nothing. */
export const gatewayFields: {
  readonly name: Field<string | undefined>;
  readonly gateway_definition: Field<GatewayDefinitionText>;
} & Readonly<Record<string, Field<unknown>>> = {
  name: optional(text('Name for people; default: the key.')),
  gateway_definition: required(gatewayDefinitionShape),
  continuous: optional(flag('A gateway always runs all the time.')),
  catalog: ignored('a gateway has no tables', true),
  schema: ignored('a gateway has no tables', true),
  target: ignored('a gateway has no tables', true),
  event_log: ignored('events of a gateway go to its output and to its status', true),
  libraries: ignored('a gateway has none', true),
};
