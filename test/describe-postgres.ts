import {describe, it} from 'vitest';

import {missing, preparedPostgres, type PostgresVersion} from './postgres-versions.ts';

/**
 * Declares the same tests for each version. One that is not prepared is skipped, saying how to prepare it; in CI its tests run, and
 * fail if it is not there.
 */
export function describePostgres(
  what: string,
  versions: readonly PostgresVersion[],
  tests: (version: PostgresVersion) => void,
): void {
  for (const version of versions) {
    const name = `${what} of PostgreSQL ${version}`;
    if (version === 18 || preparedPostgres(version) !== null || process.env['CI'] === 'true') {
      describe(name, () => tests(version));
    } else {
      it(name, ({skip}) => skip(missing(version)));
    }
  }
}
