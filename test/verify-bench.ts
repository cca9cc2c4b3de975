import {currentBatch} from '../src/delta/batch-files.ts';
import type {DeltaTable} from '../src/delta/delta-table.ts';
import {openTable} from '../src/delta/table.ts';
import {FLOW_ID_PROPERTY} from '../src/pipeline/destination.ts';
import {planningContext, resolveFlow} from '../src/pipeline/resolve-flow.ts';
import {DEFAULT_TABLE_CONFIGURATION, type TableConfiguration} from '../src/pipeline/spec.ts';
import {openReread} from '../src/pipeline/verify-reread.ts';
import type {TableVerdict} from '../src/pipeline/verify-verdict.ts';
import {comparableColumns, verifyScope, verifyTable} from '../src/pipeline/verify.ts';
import type {Connector, ConnectorDefinition} from '../src/sdk/index.ts';
import {runConnector, type TestLake} from '../src/testkit/run-connector.ts';
import {testContext} from './read-context.ts';

/** One table of a connector in a lake, to be loaded, spoilt and compared. */
export interface VerifyBench {
  readonly lake: TestLake;
  readonly definition: ConnectorDefinition;
  readonly connector: Connector;
  readonly options: Readonly<Record<string, string | number>>;
  readonly table: string;
  readonly configuration: Partial<TableConfiguration>;
}

/** Runs the table's pipeline once. */
export async function ingest(bench: VerifyBench): Promise<void> {
  const end = await runConnector(bench.lake, {
    definition: bench.definition,
    connector: bench.connector,
    options: bench.options,
    tables: [{source: bench.table, destination: 't', configuration: bench.configuration}],
  });
  const [failed] = end.flows.filter((flow) => flow.state !== 'COMPLETED');
  if (failed !== undefined) throw new Error(`${failed.errorCode}: ${failed.errorMessage}`);
}

/** Compares the table with its source as it is now, by sums of the source or by reading it once more. */
export async function verify(bench: VerifyBench, mode: 'full' | 'reread' = 'full'): Promise<TableVerdict> {
  const {connector, lake, definition} = bench;
  const {context} = lake;
  const ctx = testContext();
  const selected = {object: objectOf(bench), sourceTable: bench.table, flow: 'main.test.t'};
  const flow = await resolveFlow(
    {definition, connector},
    selected.object,
    bench.table,
    planningContext(context, selected, ctx),
  );
  const table = await landed(bench);
  const batch = await currentBatch(context.store, table, table.snapshot.metadata.configuration[FLOW_ID_PROPERTY] ?? '');
  const request = {connector, flow, table, engine: context.engine, end: batch?.end.rows ?? null, ctx};
  if (mode === 'full') return verifyTable(request);
  const scope = verifyScope(flow, comparableColumns(table.snapshot.schema, flow).columns, 100);
  await using view = await openReread(scope, {
    connector,
    flow,
    table,
    engine: context.engine,
    read: (isFirstCall) => testContext({isFirstCall}),
  });
  return await verifyTable({...request, point: {view, scope, level: 'reread'}});
}

/** The table as it landed. */
export async function landed(bench: VerifyBench): Promise<DeltaTable> {
  const table = await openTable(bench.lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return table;
}

/** Replaces the rows of the destination behind the flow's back. */
export async function rewrite(bench: VerifyBench, select: (live: string) => string): Promise<void> {
  const table = await landed(bench);
  const {snapshot} = table;
  const signal = new AbortController().signal;
  const adds = await table.writeFiles({select: select(await table.readSql()), schema: snapshot.schema}, signal);
  const removes = [...snapshot.files.values()].map((add) => table.removeOf(add));
  await table.commit({base: snapshot, operation: 'WRITE', adds, removes, blindAppend: false});
}

function objectOf({table, configuration}: VerifyBench): Parameters<typeof resolveFlow>[1] {
  return {
    kind: 'table',
    path: 'objects[0].table',
    sourceCatalog: null,
    sourceSchema: null,
    sourceTable: table,
    destinationCatalog: 'main',
    destinationSchema: 'test',
    destinationTable: 't',
    configuration: {...DEFAULT_TABLE_CONFIGURATION, ...configuration},
    options: {},
  };
}
