import type {FlowProgress, RunResult} from '../runtime/api.ts';
import {isDifferent, isFailed, problemLines} from './error-text.ts';
import {countText, durationText, sizeText} from './plain-words.ts';
import {visible, type Paint} from './terminal-text.ts';
import {tableLines} from './text-table.ts';

/** The table at the end of a run, and one sentence. */
export function summaryLines(
  results: readonly RunResult[],
  options: {readonly width: number; readonly paint: Paint},
): readonly string[] {
  const flows = results.flatMap((result) => result.flows);
  const {paint} = options;
  const right = (title: string): {readonly title: string; readonly align: 'right'; readonly minWidth: number} => ({
    title,
    align: 'right',
    minWidth: title.length,
  });
  const columns = [
    {title: 'TABLE', align: 'left' as const, minWidth: 32},
    {title: 'STATE', align: 'left' as const, minWidth: 9},
    right('READ'),
    right('INSERTED'),
    right('UPDATED'),
    right('DELETED'),
    right('WRITTEN'),
    right('VERSION'),
    right('TIME'),
  ];
  const rows = flows.map((flow) => [
    visible(flow.flow),
    flow.state,
    countText(flow.rowsRead),
    countText(flow.rowsInserted),
    countText(flow.rowsUpdated),
    countText(flow.rowsDeleted),
    flow.bytesWritten === 0 ? '-' : sizeText(flow.bytesWritten),
    flow.version === null ? '-' : String(flow.version),
    durationText(flow.elapsedMs),
  ]);
  const paintCell = (text: string, column: number, row: number): string =>
    column === 1 ? stateColour(flows[row], paint)(text) : text;
  return [
    ...(flows.length === 0 ? [] : tableLines({columns, rows}, {...options, paintCell})),
    ...sentences(results, flows, paint),
  ];
}

/** What failed, with how to fix it. */
export function failureLines(results: readonly RunResult[], paint: Paint): readonly string[] {
  return results
    .flatMap((result) => result.flows)
    .filter(isFailed)
    .flatMap((flow) =>
      problemLines(
        {
          code: flow.errorCode ?? 'INTERNAL',
          message: flow.errorMessage ?? 'no reason was given',
          at: flow.flow,
          fix: flow.errorFix ?? null,
        },
        paint,
      ),
    );
}

function sentences(results: readonly RunResult[], flows: readonly FlowProgress[], paint: Paint): readonly string[] {
  const completed = flows.filter((flow) => flow.state === 'COMPLETED').length;
  const failed = flows.filter(isFailed).length;
  const elapsedMs = results.reduce((sum, result) => sum + result.elapsedMs, 0);
  const rescued = flows.reduce((sum, flow) => sum + flow.rescuedValues, 0);
  const quarantined = flows.reduce((sum, flow) => sum + flow.quarantinedRows, 0);
  const parts = [
    `${completed} of ${flows.length} ${flows.length === 1 ? 'table' : 'tables'} completed in ${durationText(elapsedMs)}`,
  ];
  if (failed > 0) parts.push(`${failed} failed`);
  const equal = flows.filter((flow) => flow.verdict === 'equal').length;
  if (equal > 0) parts.push(`${equal} proven equal to ${equal === 1 ? 'its source' : 'their sources'}`);
  const wrong = flows.filter(isDifferent);
  const lines = [
    (failed + wrong.length > 0 ? paint.red : completed === flows.length ? paint.green : paint.yellow)(parts.join(', ')),
    ...wrong.map((flow) => paint.red(`${visible(flow.flow)} differs from its source: sluice verify names the keys`)),
  ];
  if (rescued > 0) lines.push(paint.yellow(`${countText(rescued)} values did not fit their column: see _rescued_data`));
  if (quarantined > 0)
    lines.push(paint.yellow(`${countText(quarantined)} rows could not land: see the quarantine tables`));
  return lines;
}

function stateColour(flow: FlowProgress | undefined, paint: Paint): (text: string) => string {
  if (flow?.state === 'COMPLETED') return paint.green;
  return flow?.state === 'FAILED' ? paint.red : paint.yellow;
}
