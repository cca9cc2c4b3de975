import {quoteIdentifier, sqlType} from '../engine/sql-types.ts';
import type {SqlDialect} from './sql-dialect.ts';

/** DuckDB's words. */
export const duckDbDialect: SqlDialect = {
  quote: quoteIdentifier,
  type: sqlType,
  semiJoin: 'SEMI JOIN',
  antiJoin: 'ANTI JOIN',
  hash: (expressions) => `hash(${expressions.join(', ')})`,
  // A sum tells rows that occur twice from rows that occur never, which an exclusive or does not.
  fingerprint: (hash) => `concat_ws(' ', sum(${hash})::VARCHAR, sum(hash(${hash}))::VARCHAR)`,
  json: (names) => `CAST(to_json(struct_pack(${names.map((name) => `${name} := ${name}`).join(', ')})) AS VARCHAR)`,
  createTable: (name, select) => `CREATE OR REPLACE TABLE ${quoteIdentifier(name)} AS ${select}`,
};
