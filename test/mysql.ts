import type {TestContext} from 'vitest';
import {inject} from 'vitest';
import type {TestProject} from 'vitest/node';

import type {MysqlKind, MysqlServer} from './mysql-server.ts';
import {MISSING, preparedServer, prepareServer, startMysql} from './mysql-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** URLs of the servers that all `*.mysql.test.ts` share, null where one is not there; make a database of your own in them. */
    mysqlUrls: Readonly<Record<MysqlKind, string | null>>;
  }
}

/** Starts the servers of the project `mysql`; those that must be prepared first are prepared in CI, and by hand elsewhere. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running: MysqlServer[] = [];
  const close = async (): Promise<void> => {
    for (const server of running) await server[Symbol.asyncDispose]();
  };
  const start = async (kind: MysqlKind): Promise<string | null> => {
    if (process.env['CI'] === 'true') await prepared(kind);
    if ((await preparedServer(kind)) === null) return null;
    const server = await startMysql(kind);
    running.push(server);
    return server.url;
  };
  try {
    project.provide('mysqlUrls', {mariadb: await start('mariadb'), mysql: await start('mysql')});
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}

/** MySQL comes from a suite of Debian that moves: a machine that cannot have it today proves what it can, and says so. */
async function prepared(kind: MysqlKind): Promise<void> {
  try {
    await prepareServer(kind);
  } catch (error) {
    if (kind === 'mariadb') throw error;
    console.error(`MYSQL NOT RUN: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The servers that a test file has tests for: in CI those that could be had. */
export function mysqlKinds(): readonly MysqlKind[] {
  const kinds = ['mariadb', 'mysql'] as const;
  return process.env['CI'] === 'true' ? kinds.filter((kind) => inject('mysqlUrls')[kind] !== null) : kinds;
}

/** URL of a server; skips a test where there is none, saying why. */
export function needMysql(context: Pick<TestContext, 'skip'>, kind: MysqlKind): string {
  const url = inject('mysqlUrls')[kind];
  return url ?? context.skip(MISSING[kind]);
}
