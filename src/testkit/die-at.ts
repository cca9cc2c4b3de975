import {installFailpoints} from '../core/failpoint.ts';

/** Has this process kill itself at a step, `<failpoint>:<pass>`; nothing for an empty text. */
export function dieAt(failpoint: string): void {
  if (failpoint === '') return;
  const [step = '', pass = '1'] = failpoint.split(':');
  let passes = 0;
  installFailpoints((name) => {
    if (name === step && ++passes === Number(pass)) process.kill(process.pid, 'SIGKILL');
  });
}
