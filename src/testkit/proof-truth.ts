import type {JsonObject} from '../core/json-value.ts';
import type {ProofBench} from './proof-bench.ts';
import {ProofFailure} from './proof-failure.ts';
import {cellText, coerceRecords, type ProofRow} from './proof-rows.ts';
import type {ProofTarget} from './proof-target.ts';

/** Rows named in a failure. */
const SHOWN = 3;

/**
 * Compares a table with what the source holds now, value by value. Where the table does not track deletes, rows that the
 * source once held may stay.
 * @throws ProofFailure naming rows that are missing, too many, repeated or otherwise.
 */
export async function expectTruth(bench: ProofBench, target: ProofTarget, when: string): Promise<void> {
  await expectRows(bench, target, {rows: target.reference.rows, when});
}

/** {@link expectTruth} for rows that were read from anywhere, for example a lake. */
export async function expectRows(
  bench: ProofBench,
  target: ProofTarget,
  landed: {readonly rows: readonly ProofRow[]; readonly when: string},
): Promise<void> {
  const table = target.flow.sourceTable;
  const expected = await truthOf(bench, target);
  const isKeyed = target.flow.keys.length > 0 && target.flow.target !== 'append';
  const differences = isKeyed
    ? keyedDifferences(expected, landed.rows, {
        mayKeep: tracksDeletes(bench, target) ? new Set() : (bench.everTrue.get(table) ?? new Set()),
        isLive: bench.source.isLive === true,
      })
    : bagDifferences(expected, landed.rows, bench.source.isLive === true);
  if (differences.length === 0) return;
  throw new ProofFailure({
    expected: `${landed.when}, table "${table}" as the source has it: ${expected.length} rows`,
    came: `${landed.rows.length} rows; ${differences.map(({text}) => text).join('; ')}`,
    fix: [...new Set(differences.map(({hint}) => hint))].join(' '),
  });
}

/** The rows of the source now, coerced; remembers their keys. */
export async function truthOf(bench: ProofBench, target: ProofTarget): Promise<readonly ProofRow[]> {
  const table = target.flow.sourceTable;
  const records = await bench.table(table).truth?.(bench.source);
  if (records === undefined) return [];
  const rows = coerceTruth(target, records);
  const known = bench.everTrue.get(table) ?? new Set();
  for (const row of rows) known.add(row.key);
  bench.everTrue.set(table, known);
  return rows;
}

/** Coerces the records that are not known yet: a source gives most of its rows again and again. */
function coerceTruth(target: ProofTarget, records: readonly JsonObject[]): readonly ProofRow[] {
  const fresh = records.filter((record) => !target.knownTruth.has(record));
  const {rows, quarantined, rescuedValues} = coerceRecords(target.flow, fresh, 'rows');
  if (quarantined.length > 0 || rescuedValues > 0)
    throw new ProofFailure({
      expected: `a truth of "${target.flow.sourceTable}" that fits the connector's schema`,
      came: `${quarantined.length} rows without key or required columns (${quarantined[0]?.path ?? ''}), ${rescuedValues} values of another type`,
      fix: 'Correct `truth` of the proof, or the schema where the source really gives such values.',
    });
  for (const [index, row] of rows.entries()) {
    const record = fresh[index];
    if (record !== undefined) target.knownTruth.set(record, row);
  }
  return records.flatMap((record) => target.knownTruth.get(record) ?? []);
}

/** Whether a row that the source no longer has must leave the table. */
export function tracksDeletes(bench: ProofBench, target: ProofTarget): boolean {
  const {tracksDeletes: told, configuration} = bench.table(target.flow.sourceTable);
  const {ingestionType} = target.flow;
  return (
    told ??
    (ingestionType === 'snapshot' ||
      ingestionType === 'cdc_with_deletes' ||
      configuration?.hardDeletionSyncMinIntervalSeconds != null)
  );
}

interface Difference {
  readonly text: string;
  readonly hint: string;
}

function keyedDifferences(
  expected: readonly ProofRow[],
  landed: readonly ProofRow[],
  options: {readonly mayKeep: ReadonlySet<string>; readonly isLive: boolean},
): readonly Difference[] {
  const named = namer(options.isLive);
  const byKey = new Map(landed.map((row) => [row.key, row]));
  const wanted = new Set(expected.map((row) => row.key));
  const missing = expected.filter((row) => !byKey.has(row.key));
  const extra = landed.filter((row) => !wanted.has(row.key) && !options.mayKeep.has(row.key));
  const changed = expected.flatMap((row) => {
    const other = byKey.get(row.key);
    return other === undefined || other.text === row.text ? [] : [{row, other}];
  });
  return [
    ...named(
      'missing',
      missing,
      'Look at page borders, ties and exclusive bounds: rows between two reads were left out.',
    ),
    ...named(
      'too many',
      extra,
      'Rows that the source deleted must be read by readTableDeletes, a key scan or a snapshot.',
    ),
    ...(changed.length === 0
      ? []
      : [
          {
            text: `${changed.length} otherwise: ${changed
              .slice(0, SHOWN)
              .map(({row, other}) => columnsText(row, other, options.isLive))
              .join(', ')}`,
            hint: 'A change was not read, or an older one was taken for the newest: compare the cursor field of the row with the offset.',
          },
        ]),
  ];
}

function bagDifferences(
  expected: readonly ProofRow[],
  landed: readonly ProofRow[],
  isLive: boolean,
): readonly Difference[] {
  const named = namer(isLive);
  const counts = new Map<string, {readonly row: ProofRow; count: number}>();
  const count = (row: ProofRow, by: number): void => {
    const entry = counts.get(row.text) ?? {row, count: 0};
    entry.count += by;
    counts.set(row.text, entry);
  };
  for (const row of expected) count(row, 1);
  for (const row of landed) count(row, -1);
  const all = [...counts.values()];
  const wanted = new Set(expected.map((row) => row.text));
  const missing = all.filter((entry) => entry.count > 0).map(({row}) => row);
  const over = all.filter((entry) => entry.count < 0);
  return [
    ...named(
      'missing',
      missing,
      'Look at page borders, ties and exclusive bounds: rows between two reads were left out.',
    ),
    ...named(
      'twice',
      over.filter(({row}) => wanted.has(row.text)).map(({row}) => row),
      'Leave out rows that were read before: the offset must name those that share its cursor value.',
    ),
    ...named(
      'too many',
      over.filter(({row}) => !wanted.has(row.text)).map(({row}) => row),
      'These rows are not in the source as they landed: compare their values with the source.',
    ),
  ];
}

/** Makes differences of rows; their keys are shown unless they are those of a real account. */
function namer(isLive: boolean): (what: string, rows: readonly ProofRow[], hint: string) => readonly Difference[] {
  return (what, rows, hint) => {
    if (rows.length === 0) return [];
    const keys = rows.slice(0, SHOWN).map((row) => short(row.key));
    const shown = isLive ? '' : `: ${keys.join(', ')}${rows.length > SHOWN ? ', …' : ''}`;
    return [{text: `${rows.length} ${what}${shown}`, hint}];
  };
}

function columnsText(expected: ProofRow, landed: ProofRow, isLive: boolean): string {
  const names = Object.keys(expected.cells).filter(
    (name) => cellText(expected.cells[name] ?? null) !== cellText(landed.cells[name] ?? null),
  );
  const shown = names.slice(0, SHOWN).map((name) => {
    const [wanted, came] = [expected, landed].map((row) => short(cellText(row.cells[name] ?? null)));
    return isLive ? name : `${name} is ${came}, not ${wanted}`;
  });
  return `${isLive ? 'a row' : short(expected.key)} (${shown.join(', ')})`;
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
