import {homedir} from 'node:os';
import {join, resolve} from 'node:path';

import type {Environment} from './environment.ts';

/** Folder of what Sluice keeps of its own for a configuration: SLUICE_HOME, else `.sluice` in `folder`. */
export function sluiceHome(env: Environment, folder: string): string {
  const named = env['SLUICE_HOME'];
  return named === undefined || named === '' ? join(folder, '.sluice') : resolve(folder, named);
}

/** Folder of the user's own settings, away from every project: XDG_CONFIG_HOME or `~/.config`, APPDATA on Windows. */
export function userConfigFolder(env: Environment): string {
  const named = env['XDG_CONFIG_HOME'] ?? (process.platform === 'win32' ? env['APPDATA'] : undefined);
  const root = named === undefined || named === '' ? join(env['HOME'] ?? homedir(), '.config') : named;
  return join(root, 'sluice');
}
