import {IngestError} from '../../core/errors.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import type {Environment} from '../config/environment.ts';

const TOKEN = /\$\$\{|\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** True for a text that takes a part from the environment, `${env.NAME}`. */
export function hasReference(value: OptionValue): boolean {
  return typeof value === 'string' && /(?<!\$)\$\{env\.[A-Za-z_][A-Za-z0-9_]*\}/.test(value);
}

/** Replaces `${env.NAME}` in a text by the variable's value, `$${` by `${`. @throws MISSING_SECRET naming the variable that is not set */
export function withEnvironment(value: OptionValue, env: Environment, where: string): OptionValue {
  if (typeof value !== 'string') return value;
  return value.replace(TOKEN, (_token, name: string | undefined) => {
    if (name === undefined) return '${';
    const found = Object.hasOwn(env, name) ? env[name] : undefined;
    if (found !== undefined && found !== '') return found;
    throw new IngestError('MISSING_SECRET', `${where}: the environment variable ${name} is not set.`, {
      fix: `Set ${name} before starting sluice.`,
    });
  });
}
