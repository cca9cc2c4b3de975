import type {Reporter, TestCase, TestModule} from 'vitest/node';

/** Fails a CI run that skipped any test, listing each with its note: a server that is missing in CI is a failure. */
export default class NoSilentSkips implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const skipped = modules.flatMap((module) => [...module.children.allTests('skipped')].map(describeSkipped));
    if (skipped.length === 0) return;
    console.error(`\n${skipped.length} skipped with CI=true:\n  ${skipped.join('\n  ')}`);
    process.exitCode = 1;
  }
}

function describeSkipped(test: TestCase): string {
  const result = test.result();
  return `${test.fullName}: ${(result.state === 'skipped' ? result.note : undefined) ?? 'no reason given'}`;
}
