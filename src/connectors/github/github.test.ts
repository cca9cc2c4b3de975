import {describe, expect, it} from 'vitest';

import {simulate, type Simulator} from '../../simulator/index.ts';
import {connectorCases, openSimulatedWorld, sampledCases, type TestRunEnd} from '../../testkit/index.ts';
import {github} from './index.ts';
import {githubSimulator, SIMULATED_APP, SIMULATED_TOKEN, simulatedAppKey} from './simulator-api.ts';
import {githubProof} from './simulator.ts';

/** One table of each way of reading: everything is proved. */
const WAYS = ['issues', 'pull_requests', 'commits', 'branches'];
/** Read by parts of these ways: their rows are proved, faults and kills are not repeated. */
const COMPOSED = ['reviews', 'team_members'];
/** Of the others what their declaration could get wrong. */
const DECLARED = /gives metadata|fills every column|after (updates|deletes)|in exactly one partition/;

describe('the suites', () => {
  const cases = sampledCases(githubProof, {
    whole: WAYS,
    ofAll: (name) => !name.includes('in a lake'),
    ofOthers: (name, table) =>
      COMPOSED.includes(table) ? /^(exactness|generic|partition)/.test(name) : DECLARED.test(name),
  });
  const inLake = connectorCases(githubProof, {tables: COMPOSED}).filter(({name}) => name.includes('in a lake'));
  for (const {name, run} of [...cases, ...inLake]) it(name, run, 60_000);
});

async function run(
  tables: readonly {readonly source: string; readonly options?: Readonly<Record<string, string>>}[],
  options: Readonly<Record<string, string | readonly string[]>>,
  prepare: (simulator: Simulator) => void = () => undefined,
): Promise<{readonly end: TestRunEnd; readonly simulator: Simulator}> {
  const simulator = await simulate(githubSimulator());
  prepare(simulator);
  const login = options['app_id'] === undefined ? {token: SIMULATED_TOKEN} : {};
  await using world = await openSimulatedWorld({simulator}, {definition: github, login});
  const end = await world.run(
    tables.map((table, at) => ({destination: `table_${at}`, ...table})),
    options,
  );
  return {end, simulator};
}

describe('github', () => {
  it('reads one repository by its namespace, and all without one', async () => {
    const {end} = await run([{source: 'acme/web.issues'}, {source: 'issues'}], {
      organizations: ['acme'],
      repositories: ['bob/tool'],
    });
    expect(end.flows.map(({errorMessage}) => errorMessage)).toEqual([undefined, undefined]);
    expect(end.flows.map(({rowsInserted}) => rowsInserted)).toEqual([23, 28]);
  });

  it('logs in as a GitHub App, and anew when the token has expired', async () => {
    const app = {app_id: SIMULATED_APP.id, installation_id: SIMULATED_APP.installation, private_key: simulatedAppKey()};
    const {end, simulator} = await run([{source: 'labels'}, {source: 'issues'}], app, ({faults}) =>
      faults.add({fault: {kind: 'expireTokens'}, path: '/repos/*', nth: 2}),
    );
    expect(end.flows.map(({errorMessage}) => errorMessage)).toEqual([undefined, undefined]);
    expect(simulator.auth.issuedCount).toBe(2);
  });

  it('follows a repository that was renamed', async () => {
    const {end} = await run([{source: 'issues'}, {source: 'commits'}], {repositories: ['acme/old-web']});
    expect(end.flows.map(({rowsInserted}) => rowsInserted)).toEqual([23, 23]);
  });

  it('fails for a repository that cannot be seen, naming what to do', async () => {
    const {end} = await run([{source: 'issues'}, {source: 'commits'}, {source: 'labels'}], {
      repositories: ['bob/tool', 'acme/gone'],
    });
    expect(end.flows.map(({errorCode}) => errorCode)).toEqual(['UNKNOWN_TABLE', 'UNKNOWN_TABLE', 'UNKNOWN_TABLE']);
    expect(end.flows[0]?.errorFix).toContain('missing_repositories');
  });

  it('skips repositories that are gone or taken down when it is told to', async () => {
    const {end} = await run(
      [
        {source: 'issues'},
        {source: 'pull_requests'},
        {source: 'commits'},
        {source: 'labels'},
        {source: 'repositories'},
      ],
      {repositories: ['bob/tool', 'acme/gone', 'acme/banned'], missing_repositories: 'skip'},
    );
    expect(end.flows.map(({rowsInserted}) => rowsInserted)).toEqual([5, 5, 5, 5, 1]);
  });

  it('leaves pull requests out of issues when it is told to', async () => {
    const {end} = await run([{source: 'issues', options: {include_pull_requests: 'false'}}], {
      repositories: ['acme/web'],
    });
    expect(end.flows[0]?.rowsInserted).toBe(18);
  });
});
