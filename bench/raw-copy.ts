import {PgConnection} from '../src/wire/pg/connection.ts';

/** Milliseconds that a COPY takes when every byte is read and none is looked at: what the server and the socket can do. */
export async function readToNowhere(
  server: {readonly host: string; readonly port: number},
  copy: string,
): Promise<number> {
  const signal = new AbortController().signal;
  await using connection = await PgConnection.connect(
    {...server, database: 'postgres', user: 'postgres', tls: {mode: 'disable'}, connectTimeoutMs: 5000},
    signal,
  );
  const startedAt = performance.now();
  let bytes = 0;
  for await (const range of connection.copyOut(copy, signal)) bytes += range.end - range.start;
  if (bytes === 0) throw new Error('The COPY was empty.');
  return performance.now() - startedAt;
}
