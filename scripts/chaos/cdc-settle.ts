import {setTimeout as sleep} from 'node:timers/promises';

import {systemClock} from '../../src/core/clock.ts';
import {loadGateways} from '../../src/runtime/config/load-pipelines.ts';
import type {GatewaySpec} from '../../src/runtime/config/resolve-gateway.ts';
import {openChangeLog, openGatewayStaging} from '../../src/runtime/gateway/open-gateway.ts';
import {isStagedTo} from '../../src/runtime/gateway/until-staged.ts';
import {noFiles} from '../../src/runtime/no-files.ts';
import {silentLog} from '../../src/runtime/read-context.ts';
import {catchUp, loadState} from '../../src/staging/staging.ts';
import {runAndKill, type KillEnd} from '../../src/testkit/kill.ts';
import type {Command} from '../../src/testkit/scenario.ts';

/** What is to be settled, while nobody writes. */
export interface Settling {
  readonly file: string;
  readonly lake: string;
  readonly commandOf: (task: string, key: string) => Command;
  /** Commits something behind all that is to land, so that the log is staged to beyond it. */
  readonly touch: () => Promise<void>;
}

/** A place of the log that the gateway has to come to. */
type Target = Parameters<typeof isStagedTo>[1];

const LONGEST_MS = 120_000;
const LOOK_MS = 100;

/**
 * Undisturbed runs of both forms that land all that is committed.
 * @throws Error when a program fails or hangs, or the gateway does not stage what is committed
 */
export async function settle(settling: Settling): Promise<void> {
  const {commandOf, touch} = settling;
  const position = await currentPosition(settling);
  await touch();
  const stop = new AbortController();
  const gateway = runAndKill({
    ...commandOf('gateway run', 'gateway'),
    env: process.env,
    stop: stop.signal,
    timeoutMs: 3 * LONGEST_MS,
  });
  try {
    // The end of the gateway is an error, too: it was not asked to end.
    const isEnded = gateway.then((end) => Promise.reject(failed('The gateway', end)));
    await Promise.race([isEnded, Promise.all([toEnd(commandOf('run', 'alone')), untilStaged(settling, position)])]);
    await toEnd(commandOf('run', 'apart'));
  } finally {
    stop.abort();
    await gateway;
  }
  const end = await gateway;
  if (end.code !== 0) throw failed('The gateway', end);
}

async function toEnd(command: Command): Promise<void> {
  const end = await runAndKill({args: command.args, env: process.env, timeoutMs: LONGEST_MS});
  if (end.code !== 0) throw failed(`${command.args.slice(1, 4).join(' ')}, undisturbed,`, end);
}

function failed(what: string, {code, output}: KillEnd): Error {
  return new Error(`${what} ended with ${code}:\n${output.slice(-4000)}`);
}

async function currentPosition({file}: Settling): Promise<Target> {
  const gateway = await gatewayOf(file);
  const {source} = await openChangeLog(gateway);
  try {
    return await source.currentPosition({
      signal: new AbortController().signal,
      clock: systemClock,
      log: silentLog,
      files: noFiles,
    });
  } finally {
    await source.close?.();
  }
}

async function untilStaged({file, lake}: Settling, position: Target): Promise<void> {
  const {gatewayId} = await gatewayOf(file);
  await using opened = await openGatewayStaging({lake}, gatewayId);
  let state = await loadState(opened.staging);
  for (const untilMs = performance.now() + LONGEST_MS; !isStagedTo(state, position);) {
    if (performance.now() > untilMs) throw new Error(`The gateway has staged up to ${state.end?.position} only.`);
    await sleep(LOOK_MS);
    state = await catchUp(opened.staging, state);
  }
}

async function gatewayOf(file: string): Promise<GatewaySpec> {
  const place = {file, variables: {}, cwd: process.cwd(), env: process.env};
  const [gateway] = (await loadGateways({...place, pipeline: 'gateway'})).gateways;
  if (gateway === undefined) throw new Error('There is no gateway in the configuration.');
  return gateway;
}
