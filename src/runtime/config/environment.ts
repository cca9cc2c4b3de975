import {IngestError} from '../../core/errors.ts';
import {installFailpoints, type FailpointName} from '../../core/failpoint.ts';
import type {ProxyOptions} from '../../sdk/define-connector.ts';

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment: nothing else in Sluice reads it. */
export function processEnvironment(): Environment {
  return process.env;
}

/** The lake that SLUICE_LAKE names; null when it does not. */
export function lakeOf(env: Environment): string | null {
  const lake = env['SLUICE_LAKE'];
  return lake === undefined || lake === '' ? null : lake;
}

/** The proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, also in lower case, which wins; undefined when there is none. */
export function proxiesOf(env: Environment): ProxyOptions | undefined {
  const given = (name: string): string | undefined => env[name] || env[name.toUpperCase()] || undefined;
  // As curl reads them: an address alone is that of an HTTP proxy.
  const url = (text: string | undefined): string | undefined =>
    text === undefined || text.includes('://') ? text : `http://${text}`;
  const [http, https, none] = [url(given('http_proxy')), url(given('https_proxy')), given('no_proxy')];
  if (http === undefined && https === undefined) return undefined;
  return {
    ...(http === undefined ? {} : {http}),
    ...(https === undefined ? {} : {https}),
    ...(none === undefined ? {} : {none}),
  };
}

/** Values of bundle variables: BUNDLE_VAR_name, as the official CLI reads them. */
export function bundleVariables(env: Environment): ReadonlyMap<string, string> {
  const prefix = 'BUNDLE_VAR_';
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && value !== undefined) values.set(name.slice(prefix.length), value);
  }
  return values;
}

/**
 * For crash tests: `SLUICE_FAILPOINT=NAME[:PASS[:kill|error]]` kills the process (default), or throws STORAGE_FAILED, when
 * the step NAME is passed for the PASS-th time (default 1).
 * @throws INVALID_OPTION when the value does not read so.
 */
export function installFailpointOf(env: Environment): void {
  const text = env['SLUICE_FAILPOINT'];
  if (text === undefined || text === '') return;
  const match = /^([a-z.-]+)(?::(\d+))?(?::(kill|error))?$/.exec(text);
  if (match === null) {
    throw new IngestError('INVALID_OPTION', 'SLUICE_FAILPOINT is malformed', {
      fix: 'Write NAME[:PASS[:kill|error]], for example delta.commit-written:2:kill.',
    });
  }
  const [, name, pass = '1', how = 'kill'] = match;
  let remaining = Number(pass);
  installFailpoints((reached: FailpointName) => {
    if (reached !== name) return;
    remaining -= 1;
    if (remaining !== 0) return;
    if (how === 'kill') process.kill(process.pid, 'SIGKILL');
    throw new IngestError('STORAGE_FAILED', `Failpoint ${reached} was reached.`, {class: 'transient'});
  });
}
