import type {TestProject} from 'vitest/node';

import {startPostgres} from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the server that all `*.pg.test.ts` share; make a database or schema of your own in it. */
    pgUrl: string;
  }
}

/** Starts one server for all tests of the project `pg`. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  project.provide('pgUrl', server.url);
  return () => server.close();
}
