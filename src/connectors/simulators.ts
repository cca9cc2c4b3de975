/**
 * The proofs of the connectors of this package by name, for `connector test`, `dev` and `docs`: each gives a `ConnectorProof`
 * of the testkit, whose types connectors do not know.
 */
export const proofs: Readonly<Record<string, () => Promise<unknown>>> = {
  example: async () => (await import('./example/simulator.ts')).exampleProof,
  github: async () => (await import('./github/simulator.ts')).githubProof,
  hubspot: async () => (await import('./hubspot/simulator-proof.ts')).hubspotProof,
  stripe: async () => (await import('./stripe/simulator-proof.ts')).stripeProof,
  zendesk: async () => (await import('./zendesk/simulator.ts')).zendeskProof,
};
