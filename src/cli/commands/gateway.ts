import {IngestError} from '../../core/errors.ts';
import {loadGateways} from '../../runtime/config/load-pipelines.ts';
import type {GatewaySpec} from '../../runtime/config/resolve-gateway.ts';
import {
  checkStaging,
  gatewayLag,
  listStaging,
  purgeStaging,
  type GatewayLag,
  type StagingPlace,
} from '../../runtime/gateway/inspect-staging.ts';
import {checkGateway, removeGateway, runGatewayHere} from '../../runtime/gateway/run-gateway.ts';
import {
  interruptible,
  lakeRootOf,
  OK,
  printJson,
  printLines,
  silently,
  type CommandContext,
  type ConfigFlags,
} from '../command-context.ts';
import {EXIT} from '../io.ts';
import {jsonText} from '../json-text.ts';
import {countText, durationText, sizeText} from '../plain-words.ts';
import {visible} from '../terminal-text.ts';
import {left, printTable, right} from './inspect.ts';

/** A command about one gateway: its context, the gateway's key and the flags. */
type Call = readonly [context: CommandContext, key: string | undefined, flags: ConfigFlags];

/** Runs a gateway until it is interrupted; its events are lines, or JSON lines. */
export async function gatewayRunCommand(...[context, key, flags]: Call): Promise<number> {
  const {gateway, place} = await load(context, key, flags);
  const {io, errorPaint} = context;
  const say = (line: string): void => {
    io.stderr.write(`${line}\n`);
  };
  await interruptible(
    context,
    () => say('Stopping: what was read is sealed first; Ctrl-C again quits at once.'),
    (signal) =>
      runGatewayHere(gateway, {
        ...place,
        signal,
        onEvent: (event) => {
          if (flags.json === true) io.stdout.write(`${jsonText({kind: 'gateway', ...event})}\n`);
          else if (flags.quiet !== true || event.level !== 'info') {
            const mark = event.level === 'info' ? '' : `${errorPaint.yellow(`${event.level}:`)} `;
            say(`${new Date().toISOString()} ${mark}${visible(event.message)}`);
          }
        },
      }),
  );
  return OK;
}

/** Prints the findings of a preflight. */
export async function gatewayCheckCommand(...[context, key, flags]: Call): Promise<number> {
  const {gateway, place} = await load(context, key, flags);
  const {tables, findings} = await interruptible(context, silently, (signal) =>
    checkGateway(gateway, {...place, signal}),
  );
  const isFine = findings.every(({level}) => level !== 'error');
  if (flags.json === true) printJson(context, {gateway: gateway.key, ok: isFine, tables, findings});
  else {
    const lines = findings.flatMap(({level, code, message, fix, table}) => [
      `${level.padEnd(7)} ${code}${table === undefined ? '' : ` ${visible(table)}`}: ${visible(message)}`,
      ...(fix === undefined ? [] : [`        ${visible(fix)}`]),
    ]);
    const errors = findings.filter(({level}) => level === 'error').length;
    printLines(context, [...lines, `${tables.length} tables, ${errors} errors, ${findings.length - errors} remarks`]);
  }
  return isFine ? OK : EXIT.failed;
}

/** Prints what a gateway last wrote of itself, and what is staged and not applied. */
export async function gatewayStatusCommand(...[context, key, flags]: Call): Promise<number> {
  const {gateway, place} = await load(context, key, flags);
  const found = await gatewayLag(place);
  if (found === null) {
    throw new IngestError('NOT_STAGED', `Gateway "${gateway.key}" never ran with this lake.`, {
      fix: `Start it: sluice gateway run ${gateway.key}`,
    });
  }
  if (flags.json === true) {
    printJson(context, found);
    return OK;
  }
  const {lag} = found;
  printLines(context, [
    `${gateway.key}: ${found.connection}${found.message === null ? '' : ` (${visible(found.message)})`}, as of ${found.updatedAt}`,
    `lag ${durationText(lag.seconds * 1000)}${lag.bytes === null ? '' : `, the source keeps ${sizeText(lag.bytes)} of log`}, ${sizeText(lag.unsealedBytes)} not sealed, ${countText(lag.rows)} rows and changes not applied; entry ${found.entry}, position ${found.position ?? '-'}`,
  ]);
  printTable(
    context,
    [left('TABLE'), left('PHASE'), right('DONE'), right('ROWS'), right('NOT APPLIED'), right('LEFT'), left('MESSAGE')],
    found.tables.map(tableLine),
  );
  return OK;
}

function tableLine({
  name,
  phase,
  percent,
  rows,
  notApplied,
  etaSeconds,
  message,
}: GatewayLag['tables'][number]): readonly string[] {
  return [
    visible(name),
    phase,
    percent === null ? '-' : `${percent} %`,
    countText(rows),
    countText(notApplied),
    etaSeconds === null ? '-' : durationText(etaSeconds * 1000),
    visible(message ?? ''),
  ];
}

/** Removes a gateway's traces from source and lake. */
export async function gatewayRemoveCommand(...[context, key, flags]: Call): Promise<number> {
  const {gateway, place} = await load(context, key, flags);
  await interruptible(context, silently, (signal) => removeGateway(gateway, {...place, signal}));
  if (flags.json === true) printJson(context, {gateway: gateway.key, removed: true});
  else printLines(context, [`${gateway.key}: its slot and publication at the source and its staging are removed.`]);
  return OK;
}

/** Lists what is staged. */
export async function stagingListCommand(...[context, key, flags]: Call): Promise<number> {
  const {place} = await load(context, key, flags);
  const contents = await listStaging(place);
  if (flags.json === true) {
    printJson(context, contents);
    return OK;
  }
  printTable(
    context,
    [right('ENTRY'), left('KIND'), left('SEALED'), left('ABOUT'), right('ROWS'), right('SIZE')],
    contents.entries.map(({n, kind, sealedAt, about, rows, bytes}) => [
      String(n),
      kind,
      sealedAt,
      visible(about),
      countText(rows),
      sizeText(bytes),
    ]),
  );
  printLines(context, [`${contents.segments} segments, ${sizeText(contents.bytes)}, epoch ${contents.epoch}`]);
  return OK;
}

/** Reads all that is staged. */
export async function stagingInspectCommand(...[context, key, flags]: Call): Promise<number> {
  const {place} = await load(context, key, flags);
  const contents = await listStaging(place);
  const problems = await interruptible(context, silently, (signal) => checkStaging(place, signal));
  if (flags.json === true) printJson(context, {...contents, entries: undefined, problems});
  else {
    printTable(
      context,
      [left('TABLE'), right('SNAPSHOT ROWS'), left('STATE'), left('READERS (ENTRIES BEHIND)')],
      contents.tables.map(({name, snapshotRows, state, readers}) => [
        visible(name),
        snapshotRows === null ? '-' : countText(snapshotRows),
        visible(state),
        readers.map(({pipeline, behind}) => `${visible(pipeline)} (${behind})`).join(', ') || 'none',
      ]),
    );
    printLines(context, problems.length === 0 ? ['Every file holds what its manifest says.'] : problems.map(visible));
  }
  return problems.length === 0 ? OK : EXIT.failed;
}

/** Deletes what nobody needs. */
export async function stagingPurgeCommand(...[context, key, flags]: Call): Promise<number> {
  const {place} = await load(context, key, flags);
  const {files, bytes} = await purgeStaging(place);
  if (flags.json === true) printJson(context, {files, bytes});
  else printLines(context, [`${files} files deleted, ${sizeText(bytes)}`]);
  return OK;
}

async function load(
  context: CommandContext,
  key: string | undefined,
  flags: ConfigFlags,
): Promise<{readonly gateway: GatewaySpec; readonly place: StagingPlace}> {
  const {io} = context;
  const {gateways, lake, storeOptions} = await loadGateways({
    file: flags.file,
    pipeline: key ?? flags.pipeline,
    target: flags.target,
    variables: flags.var ?? {},
    cwd: io.cwd,
    env: io.env,
  });
  const [gateway, ...others] = gateways;
  if (gateway === undefined) {
    throw new IngestError(
      'INVALID_OPTION',
      key === undefined ? 'There is no gateway.' : `There is no gateway "${key}".`,
      {
        fix: 'Add a pipeline with a gateway_definition, or connector_type: CDC to an ingestion_definition.',
      },
    );
  }
  if (others.length > 0) {
    throw new IngestError('INVALID_OPTION', 'There are several gateways.', {
      fix: `Name one: ${gateways.map((one) => one.key).join(', ')}.`,
    });
  }
  return {gateway, place: {lake: lakeRootOf(context, lake), storeOptions, gatewayId: gateway.gatewayId}};
}
