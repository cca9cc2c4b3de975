import {spawn} from 'node:child_process';

import type {Environment} from '../config/environment.ts';

/** Opens an address in the user's browser, if there is a desktop; never fails. False when nothing was tried. */
export function openBrowser(url: string, env: Environment): boolean {
  const command = browserCommand(env);
  if (command === null) return false;
  const [program, ...args] = command;
  const child = spawn(program, [...args, url], {stdio: 'ignore', detached: true});
  // The address was printed: whoever has no browser here opens it elsewhere.
  child.on('error', () => undefined);
  child.unref();
  return true;
}

function browserCommand(env: Environment): readonly [string, ...string[]] | null {
  if (process.platform === 'darwin') return ['open'];
  if (process.platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler'];
  const hasDesktop = [env['DISPLAY'], env['WAYLAND_DISPLAY']].some((name) => name !== undefined && name !== '');
  return hasDesktop ? ['xdg-open'] : null;
}
