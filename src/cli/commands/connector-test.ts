import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import {loadTarget, resolveTarget, type ConnectorTarget} from '../../runtime/author/connector-target.ts';
import type {ConnectorCaseOptions, ConnectorProof} from '../../testkit/connector-proof.ts';
import type {CaseResult, CaseResults} from '../../testkit/run-connector-cases.ts';
import {
  interruptible,
  OK,
  printJson,
  printLines,
  silently,
  traced,
  type CommandContext,
  type CommonFlags,
} from '../command-context.ts';
import {proofOf} from '../connector-proof.ts';
import {EXIT} from '../io.ts';
import {readTableOptions, type OptionRecord} from '../option-files.ts';
import {countText, durationText} from '../plain-words.ts';
import {sourceLogin} from '../source-login.ts';
import {visible} from '../terminal-text.ts';

/** Flags of `sluice connector test`. */
export interface ConnectorTestFlags extends CommonFlags {
  readonly credentials?: string;
  readonly connection?: string;
  readonly simulator?: boolean;
  readonly config?: string;
  readonly suite?: NonNullable<ConnectorCaseOptions['suite']>;
  readonly table?: readonly string[];
  readonly seed?: number;
  readonly full?: boolean;
  readonly trace?: string;
}

const DEFAULT_SEED = 1;

/** Runs the suites of a connector and tells of each case; exit status 1 when one fails. */
export async function connectorTestCommand(
  context: CommandContext,
  name: string,
  flags: ConnectorTestFlags,
): Promise<number> {
  const target = await resolveTarget(name, context.io.cwd);
  const seed = flags.seed ?? DEFAULT_SEED;
  const ended = await traced(context, flags.trace, ({traceFile}) =>
    interruptible(context, silently, async (signal) => {
      const tableOptions = await readTableOptions(target, flags.config, context.io.cwd);
      const proof = await chooseProof(context, target, {flags, tableOptions, signal});
      checkTables(proof, flags.table ?? Object.keys(tableOptions));
      return runSuites(context, proof, {flags, seed, signal, traceFile});
    }),
  );
  if (flags.json === true) printJson(context, {connector: name, seed, ...ended});
  else printSummary(context, ended, seed);
  return ended.failed === 0 ? OK : EXIT.failed;
}

interface Run {
  readonly flags: ConnectorTestFlags;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly traceFile: string | undefined;
}

async function runSuites(context: CommandContext, proof: ConnectorProof, run: Run): Promise<CaseResults> {
  const {flags, seed, signal, traceFile} = run;
  const [{connectorCases}, {runConnectorCases}, {openTrace}] = await Promise.all([
    import('../../testkit/connector-cases.ts'),
    import('../../testkit/run-connector-cases.ts'),
    import('../../runtime/trace-file.ts'),
  ]);
  using trace = traceFile === undefined ? null : openTrace(traceFile);
  const cases = connectorCases(proof, {
    seed,
    signal,
    suite: flags.suite ?? 'all',
    full: flags.full === true,
    ...(flags.table === undefined ? {} : {tables: flags.table}),
    ...(trace === null ? {} : {trace: trace.trace}),
  });
  const isShown = flags.json !== true && flags.quiet !== true;
  // Awaited here: the trace stays open until the last case has ended.
  return await runConnectorCases(cases, {
    signal,
    onResult: (result) => {
      if (isShown || (result.state === 'failed' && flags.json !== true))
        printLines(context, resultLines(context, result));
    },
  });
}

function resultLines({paint, flags}: CommandContext, result: CaseResult): readonly string[] {
  const name = visible(result.name);
  switch (result.state) {
    case 'passed':
      return [`${paint.green('passed  ')} ${name} ${paint.dim(durationText(result.elapsedMs))}`];
    case 'excluded':
      return flags.verbose === true ? [`${paint.dim('excluded')} ${name}: ${visible(result.reason ?? '')}`] : [];
    case 'failed':
      return [
        `${paint.red('failed  ')} ${name}`,
        `           ${visible(result.reason ?? '')}`,
        ...(result.fix === null ? [] : [`           ${paint.dim('Fix:')} ${visible(result.fix)}`]),
      ];
  }
}

function printSummary(context: CommandContext, {passed, failed, excluded, results}: CaseResults, seed: number): void {
  const named = new Map<string, number>();
  for (const {state, reason} of results)
    if (state === 'excluded') named.set(reason ?? '', (named.get(reason ?? '') ?? 0) + 1);
  const reasons = [...named].map(([reason, count]) => `  ${countText(count)}: ${visible(reason)}`);
  printLines(context, [
    ...(reasons.length === 0 || context.flags.quiet === true ? [] : ['Excluded because', ...reasons]),
    `${countText(passed)} passed, ${countText(failed)} failed, ${countText(excluded)} excluded (seed ${seed})`,
  ]);
  if (passed + failed === 0)
    context.io.stderr.write(`${context.errorPaint.yellow('warning:')} no case applies: nothing was proved\n`);
}

/** The proof against the real source where credentials are given, else against the simulator. */
async function chooseProof(
  context: CommandContext,
  target: ConnectorTarget,
  {
    flags,
    tableOptions,
    signal,
  }: {
    readonly flags: ConnectorTestFlags;
    readonly tableOptions: Readonly<Record<string, OptionRecord>>;
    readonly signal: AbortSignal;
  },
): Promise<ConnectorProof> {
  const {cwd} = context.io;
  const found = await proofOf(target);
  if (flags.credentials === undefined && flags.connection === undefined) {
    if (found !== null) return withOptions(found.proof, tableOptions);
    throw new IngestError('INVALID_OPTION', 'The connector has no simulator, so that nothing proves it.', {
      fix: 'Write simulator.ts beside it (docs/testing-connectors.md), or prove it against the real source: --credentials FILE or --connection NAME',
    });
  }
  const {definition} = await loadTarget(target, cwd);
  const {options = {}, ...kept} = (await sourceLogin(context, flags, definition.name)) ?? {};
  const {liveLogin, listLiveTables, liveProof} = await import('../../testkit/live-proof.ts');
  const login = liveLogin({connectionOptions: options, ...kept});
  const listed = flags.table ?? (await listLiveTables(definition, login, signal));
  return liveProof(definition, {
    ...login,
    tables: listed,
    tableOptions,
    ...(found === null ? {} : {simulated: found.proof}),
  });
}

/** Options of a file go over those of the proof. */
function withOptions(proof: ConnectorProof, options: Readonly<Record<string, OptionRecord>>): ConnectorProof {
  const tables = Object.entries(proof.tables).map(([name, table]) => {
    const own = options[name];
    return [name, own === undefined ? table : {...table, options: {...table.options, ...own}}] as const;
  });
  return {...proof, tables: Object.fromEntries(tables)};
}

function checkTables(proof: ConnectorProof, wanted: readonly string[]): void {
  const known = Object.keys(proof.tables);
  const unknown = wanted.find((table) => !known.includes(table));
  if (unknown === undefined) return;
  const close = didYouMean(unknown, known);
  throw new IngestError('UNKNOWN_TABLE', `The proof has no table "${unknown}".`, {
    fix: close === null ? `It has ${known.join(', ')}.` : `Did you mean "${close}"?`,
    context: {table: unknown},
  });
}
