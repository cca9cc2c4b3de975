import {describeTable} from '../src/connectors/postgresql/catalog.ts';
import type {CopyColumn} from '../src/connectors/postgresql/copy-decoder.ts';
import {CopyDecoder} from '../src/connectors/postgresql/copy-decoder.ts';
import {connectionOptions, Session} from '../src/connectors/postgresql/session.ts';
import {startPostgres} from '../test/postgres.ts';
import type {PostgresServer} from '../test/postgres.ts';
import type {BenchResult} from './result.ts';

const ROWS = 2_000_000;
const ROUNDS = 3;
const MIXED = `create unlogged table mixed as select i as id, (i % 100000)::int as part, (i % 7)::smallint as line,
  (i % 1000000 / 100.0)::numeric(12,2) as price, (i * 1.5)::float8 as weight, (i % 3 = 0) as flag, 'name of ' || i as name,
  repeat(md5(i::text), 1 + i::int % 2) as note, timestamptz '2020-01-01' + i * interval '1 second' as created,
  date '2000-01-01' + (i % 10000)::int as day, gen_random_uuid() as token, case when i % 5 <> 0 then 'x' || i % 50 end as code
  from generate_series(1, ${ROWS}::bigint) i`;

/** A table of 2M rows and 12 mixed columns: reading it from the wire, and reading it with all values decoded to columns. */
export async function run(): Promise<readonly BenchResult[]> {
  await using server = await startPostgres();
  await using session = await openSession(server);
  await session.query(MIXED, {what: 'fill the table'});
  const wire: number[] = [];
  const decoded: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    wire.push(await timed(() => read(session, null)));
    const before = process.cpuUsage();
    const decoder = await decoderOf(session);
    decoded.push(await timed(() => read(session, decoder)));
    const used = process.cpuUsage(before);
    cpu.push((used.user + used.system) / 1000);
  }
  const [raw, full] = [Math.min(...wire), Math.min(...decoded)];
  const ratio = full / raw;
  return [
    {name: 'COPY of 2M rows x 12 columns, thrown away', measured: `${(raw / 1000).toFixed(2)} s`, limit: '', ok: true},
    {
      name: 'the same, decoded to columns / thrown away',
      measured: `${ratio.toFixed(2)} x`,
      limit: '<= 1.25 x',
      ok: ratio <= 1.25,
    },
    {
      name: 'processor time of this process, COPY and decode',
      measured: `${(Math.min(...cpu) / 1000).toFixed(2)} s`,
      limit: '',
      ok: true,
    },
  ];
}

function openSession({host, port}: PostgresServer): Promise<Session> {
  const options = {host, port, database: 'postgres', user: 'postgres', sslmode: 'disable'};
  return Session.open(connectionOptions(options, 'bench'), new AbortController().signal);
}

async function decoderOf(session: Session): Promise<CopyDecoder> {
  const table = await describeTable(session, 'public.mixed');
  const columns: CopyColumn[] = table.columns.map(({name, mapping, nullable}) => ({name, mapping, nullable}));
  return new CopyDecoder(columns, {checkUtf8: false});
}

async function read(session: Session, decoder: CopyDecoder | null): Promise<void> {
  let rows = 0;
  for await (const range of session.copyBinary('select * from mixed')) {
    if (decoder === null) continue;
    for (const {batch} of decoder.decode(range)) rows += batch.rowCount;
  }
  if (decoder !== null && rows !== ROWS) throw new Error(`${rows} rows were decoded.`);
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
