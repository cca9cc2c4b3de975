import {createRequire} from 'node:module';

/**
 * DuckDB's API. By `require`: an `import` of these files looks for the names that they export before it runs them, and opening an
 * engine then costs a process twice the CPU (550 ms against 260 ms were measured).
 */
export const duckDb: typeof import('@duckdb/node-api') = createRequire(import.meta.url)('@duckdb/node-api');
