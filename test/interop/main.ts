import {rmSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {runChecks} from './checks.ts';
import {installReaders, missingPrograms} from './setup.ts';

/** `npm run interop`: prints one line per check and the counts last; names of suites as arguments run these alone. */
async function main(): Promise<void> {
  const missing = missingPrograms();
  if (missing.length > 0) {
    console.error(`\nINTEROP NOT RUN: this machine lacks ${missing.join(', ')}.\n`);
    // On a developer's machine that is their choice; in CI it is a failure.
    const inCi = process.env['CI'] === 'true';
    console.log(inCi ? 'interop: 0 passed, 1 failed, 0 skipped' : 'interop: 0 passed, 0 failed, 1 skipped');
    if (inCi) process.exitCode = 1;
    return;
  }
  const installation = installReaders(join(fileURLToPath(new URL('../..', import.meta.url)), 'build'));
  const {passed, failed} = await runChecks(installation, process.argv.slice(2)).finally(() => {
    rmSync(installation.workFolder, {recursive: true, force: true});
  });
  console.log(`interop: ${passed} passed, ${failed} failed, 0 skipped`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
}

await main();
