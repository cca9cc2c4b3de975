import type {Program} from '../../src/testkit/scenario.ts';

/** A program of a turn of which it is not yet said how it dies. */
export type Candidate = Omit<Program, 'death'>;

/** Steps of what maintains tables. */
const MAINTENANCE = /^(?:optimize|vacuum|log-cleanup|restore)\./;

/** True for a step of maintenance, null for a random moment. */
export function isOfMaintenance(step: string | null): boolean {
  return step !== null && MAINTENANCE.test(step);
}

/**
 * A run and maintenance beside it, either of which may be missing: at a step the one that comes by it dies, else both.
 * @param step null: at random moments
 */
export function maintainedTurn(
  step: string | null,
  {run, maintenance}: {readonly run: Candidate | null; readonly maintenance: Candidate | null},
): readonly Program[] {
  const die = (candidate: Candidate | null, isAtStep: boolean): readonly Program[] =>
    candidate === null ? [] : [{...candidate, death: step === null ? 'moment' : isAtStep ? 'step' : null}];
  const isMaintenanceKilled = run === null || isOfMaintenance(step);
  return [...die(run, !isMaintenanceKilled), ...die(maintenance, isMaintenanceKilled)];
}
