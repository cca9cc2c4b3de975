import {IngestError, isIngestError, messageOf} from '../core/errors.ts';
import type {OptionValue} from '../sdk/contract.ts';
import type {OptionSpecs, TraceEntry} from '../sdk/define-connector.ts';
import {resolveConnectionOptions, resolveOptions} from '../sdk/options.ts';
import {errorOf, type CaseRun, type ConnectorCaseSpec} from './case-spec.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat} from './proof-failure.ts';

/** What holds for a connector as a whole: logins, discovery, names of tables and options. */
export const GENERIC_CASES: readonly ConnectorCaseSpec[] = [
  {suite: 'generic', name: 'logs in with good credentials', run: logsIn},
  {
    suite: 'generic',
    name: 'refuses wrong credentials with AUTH_FAILED and shows no secret',
    run: refusesCredentials,
  },
  {suite: 'generic', name: 'shows no secret in traces', run: tracesNoSecret},
  {suite: 'generic', name: 'lists its tables: some, unique, the same twice', run: listsTables},
  {suite: 'generic', name: 'has a proof of every table that it lists', run: provesAllTables},
  {suite: 'generic', name: 'refuses an unknown table with UNKNOWN_TABLE and a suggestion', run: refusesUnknownTable},
  {suite: 'generic', name: 'refuses an unknown option of the connection', run: refusesConnectionOption},
  {suite: 'generic', name: 'refuses an unknown option of a table', run: refusesTableOption},
];

async function logsIn(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  await bench.connector.listTables(bench.callContext());
  const [table] = Object.keys(run.proof.tables);
  if (table !== undefined) await (await bench.target(table)).trigger();
}

async function refusesCredentials(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  const {wrongCredentials} = bench.source;
  expectThat(wrongCredentials !== undefined, () => ({
    expected: '`wrongCredentials` of the source, to prove what happens to them',
    came: 'none',
    fix: 'Give them in `start`, or exclude this case with the reason that the source accepts everything.',
  }));
  const options = {...bench.source.connectionOptions, ...wrongCredentials};
  const connector = bench.create({options});
  const [table = ''] = Object.keys(run.proof.tables);
  const fix = "Map the source's answer to wrong credentials (often 401) to an IngestError of code AUTH_FAILED.";
  try {
    const error = await errorOf(
      async () => {
        const ctx = bench.callContext();
        await connector.listTables(ctx);
        const tableOptions = resolveOptions(run.proof.definition.spec.table, bench.table(table).options ?? {}, table);
        const flow = await bench.flow(table);
        const target = await bench.target(table);
        const read = target.readContext({triggerStartedAt: bench.clock.nowMicros(), isFirstCall: true});
        for await (const _ of connector.readTable(flow.sourceTable, null, tableOptions, read)) break;
      },
      'an AUTH_FAILED for wrong credentials, at the latest at the first read',
      fix,
    );
    expectThat(isIngestError(error, 'AUTH_FAILED'), () => ({
      expected: 'an IngestError of code AUTH_FAILED',
      came: errorText(error),
      fix,
    }));
    expectThat(isIngestError(error) && error.fix !== undefined && error.fix !== '', () => ({
      expected: 'a `fix` that says what the user can do',
      came: 'an AUTH_FAILED without one',
      fix: 'Name the option of the connection to correct, and where the source shows its value.',
    }));
    const secret = secretsOf(run, options).find((value) => wholeText(error).includes(value));
    expectThat(secret === undefined, () => ({
      expected: 'a message without secrets',
      came: 'one that holds the value of a secret option',
      fix: 'Never put options, headers, URLs with credentials or bodies into messages.',
    }));
  } finally {
    await connector.close?.();
  }
}

async function tracesNoSecret(run: CaseRun): Promise<void> {
  const traces: TraceEntry[] = [];
  await using bench = await run.open({trace: (entry) => traces.push(entry)});
  const [table] = Object.keys(run.proof.tables);
  if (table !== undefined) await (await bench.target(table)).trigger();
  const secrets = secretsOf(run, bench.source.connectionOptions);
  const told = JSON.stringify(traces);
  expectThat(!secrets.some((value) => told.includes(value)), () => ({
    expected: 'traces without secrets',
    came: 'one that holds the value of a secret option',
    fix: 'Send credentials by the `auth` of the HTTP client, which redacts them, not by own headers or parameters.',
  }));
}

async function listsTables(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  const first = await bench.connector.listTables(bench.callContext());
  expectThat(first.length > 0, () => ({
    expected: 'at least one table',
    came: 'none',
    fix: 'Return the names of the tables from listTables.',
  }));
  const odd = first.find((name: unknown) => typeof name !== 'string' || name.trim() === '');
  expectThat(odd === undefined, () => ({
    expected: 'names that are texts and not blank',
    came: JSON.stringify(odd),
    fix: 'Return plain names from listTables.',
  }));
  const twice = first.find((name, index) => first.indexOf(name) !== index);
  expectThat(twice === undefined, () => ({
    expected: 'each table once',
    came: `"${twice ?? ''}" more than once`,
    fix: 'Leave repeated names out of listTables, for example those that come on two pages.',
  }));
  await bench.reopen();
  const second = await bench.connector.listTables(bench.callContext());
  expectThat(JSON.stringify([...first].sort()) === JSON.stringify([...second].sort()), () => ({
    expected: `the same tables from another instance: ${first.join(', ')}`,
    came: second.join(', '),
    fix: 'List what the source has, and nothing that depends on earlier calls.',
  }));
}

async function provesAllTables(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  const listed = await bench.connector.listTables(bench.callContext());
  const proved = Object.keys(run.proof.tables);
  const open = listed.filter((name) => !proved.includes(name));
  expectThat(open.length === 0, () => ({
    expected: 'a proof of every table',
    came: `none of ${open.join(', ')}`,
    fix: 'Add them to `tables` of the proof, or exclude this case with the reason.',
  }));
}

async function refusesUnknownTable(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  const [known = ''] = Object.keys(run.proof.tables);
  const unknown = `${known}x`;
  const options = resolveOptions(run.proof.definition.spec.table, bench.table(known).options ?? {}, known);
  const {connector} = bench;
  const target = await bench.target(known);
  const ctx = target.readContext({triggerStartedAt: bench.clock.nowMicros(), isFirstCall: true});
  const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['getTableSchema', () => connector.getTableSchema(unknown, options, ctx)],
    ['readTableMetadata', () => connector.readTableMetadata(unknown, options, ctx)],
    ['readTable', async () => connector.readTable(unknown, null, options, ctx).next()],
  ];
  for (const [method, call] of calls) {
    const fix = `Throw UNKNOWN_TABLE from ${method}; unknownTable or didYouMean of the SDK makes the suggestion.`;
    const expected = `${method} refuses the table "${unknown}" with UNKNOWN_TABLE and "Did you mean "${known}"?"`;
    const error = await errorOf(call, expected, fix);
    expectThat(isIngestError(error, 'UNKNOWN_TABLE'), () => ({expected, came: errorText(error), fix}));
    const text = isIngestError(error) ? `${error.message} ${error.fix ?? ''}` : '';
    expectThat(text.includes(`"${known}"`) || text.includes(`${known}?`), () => ({expected, came: text, fix}));
  }
}

async function refusesConnectionOption(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  const {spec} = run.proof.definition;
  await refusesOption((name) =>
    resolveConnectionOptions(spec, {...bench.source.connectionOptions, [name]: 'x'}, 'connection "proof"'),
  );
}

async function refusesTableOption(run: CaseRun): Promise<void> {
  const {spec} = run.proof.definition;
  for (const [table, {options = {}}] of Object.entries(run.proof.tables))
    await refusesOption((name) => resolveOptions(spec.table, {...options, [name]: 'x'}, `table "${table}"`));
}

async function refusesOption(resolve: (name: string) => unknown): Promise<void> {
  const fix = 'Declare every option that there is in the spec; the framework refuses the rest.';
  const expected = 'the option "no_such_option" is refused with INVALID_OPTION';
  const error = await errorOf(() => Promise.resolve().then(() => resolve('no_such_option')), expected, fix);
  expectThat(isIngestError(error, 'INVALID_OPTION'), () => ({expected, came: errorText(error), fix}));
}

/** Values of options that the spec calls secret, long enough to be told from other text. */
function secretsOf(run: Pick<CaseRun, 'proof'>, options: ProofBench['source']['connectionOptions']): readonly string[] {
  const {spec} = run.proof.definition;
  const all: OptionSpecs = Object.assign(
    {},
    spec.connection,
    ...Object.values(spec.authMethods ?? {}).map((method) => method.options),
  ) as OptionSpecs;
  return Object.entries(options).flatMap(([name, value]) => {
    const text = secretText(all[name]?.secret === true, value);
    return text === null ? [] : [text];
  });
}

const SHORTEST_SECRET = 6;

function secretText(isSecret: boolean, value: OptionValue): string | null {
  return isSecret && typeof value === 'string' && value.length >= SHORTEST_SECRET ? value : null;
}

/** Code and message of an error. */
export function errorText(error: unknown): string {
  return error instanceof IngestError ? `${error.code}: ${error.message}` : messageOf(error);
}

function wholeText(error: unknown): string {
  const parts: string[] = [];
  // Ends with the innermost cause.
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    parts.push(at.message);
    if (at instanceof IngestError) parts.push(at.fix ?? '', JSON.stringify(at.context));
  }
  return parts.join('\n');
}
