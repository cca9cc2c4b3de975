/** What a case found: what it expected, what came instead, and a hint for the author of the connector. */
export interface Finding {
  readonly expected: string;
  readonly came: string;
  /** How to correct the connector or its proof. */
  readonly fix: string;
}

/** A connector does not do what a case asks. */
export class ProofFailure extends Error {
  readonly finding: Finding;

  constructor(finding: Finding) {
    super(`Expected: ${finding.expected}\nCame:     ${finding.came}\nHow to fix: ${finding.fix}`);
    this.name = 'ProofFailure';
    this.finding = finding;
  }
}

/** Throws {@link ProofFailure} unless the condition holds; the finding is only made when it does not. */
export function expectThat(condition: boolean, finding: () => Finding): asserts condition {
  if (!condition) throw new ProofFailure(finding());
}
