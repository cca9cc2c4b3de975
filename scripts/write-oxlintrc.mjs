// Writes .oxlintrc.json from the table of rooms: per room, the imports that it may not make. `--check` only compares.
import {readFileSync, writeFileSync} from 'node:fs';

const FILE = new URL('../.oxlintrc.json', import.meta.url);
/** Room under src/ -> rooms that it may import: the table of ARCHITECTURE.md. */
const ROOMS = JSON.parse(readFileSync(new URL('rooms.json', import.meta.url), 'utf8'));
/** Modules of Node that do I/O. */
const IO_MODULES = ['fs', 'net', 'http', 'https', 'http2', 'tls', 'dgram', 'dns', 'child_process', 'worker_threads'];

/** No package of DuckDB outside the engine's room. */
const duckdb = {regex: '^@duckdb/', message: 'Only src/engine imports DuckDB (ARCHITECTURE.md).'};
const io = {regex: `^node:(${IO_MODULES.join('|')})(/|$)`, message: 'core does no I/O (ARCHITECTURE.md).'};
/** Matches `../<this connector's sibling>/...`; connectors are flat folders. */
const sibling = {
  regex: '^\\.\\./[a-z]',
  message: 'A connector imports no other connector; connectors are flat folders (ARCHITECTURE.md).',
};
const sdkInside = {
  group: ['**/sdk/*', '!**/sdk/index.ts'],
  message: 'Connectors import sdk/index.ts only, as those of other packages do.',
};

function restricted(patterns) {
  return {'no-restricted-imports': ['error', {patterns}]};
}

/** The pattern that forbids every room but the room itself and those that it may import. */
function foreignRooms(room, allowed) {
  const forbidden = Object.keys(ROOMS).filter((other) => other !== room && !allowed.includes(other));
  return {
    regex: `^(\\.\\./)+(${forbidden.join('|')})/`,
    message: `${room} may import only: ${allowed.join(', ') || 'nothing'} (ARCHITECTURE.md).`,
  };
}

function patternsOf(room, allowed) {
  const patterns = [foreignRooms(room, allowed)];
  if (room !== 'engine') patterns.push(duckdb);
  if (room === 'core') patterns.push(io);
  if (room === 'connectors') patterns.push(sdkInside);
  return patterns;
}

const rooms = Object.entries(ROOMS).map(([room, allowed]) => ({
  files: [`src/${room}/**/*.ts`],
  rules: restricted(patternsOf(room, allowed)),
}));

const connector = {
  files: ['src/connectors/*/*.ts'],
  rules: restricted([...patternsOf('connectors', ROOMS.connectors), sibling]),
};

const connectorProofs = {
  files: ['src/connectors/*/*.test.ts', 'src/connectors/*/simulator*.ts'],
  rules: restricted([foreignRooms('connectors', [...ROOMS.connectors, 'core', 'simulator', 'testkit']), duckdb, sibling]),
};

const config = {
  $schema: './node_modules/oxlint/configuration_schema.json',
  plugins: ['typescript', 'import', 'unicorn', 'oxc', 'promise', 'node'],
  categories: {correctness: 'error'},
  options: {typeAware: true},
  rules: {
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    // A `default` is an answer too; without one, every case must be there.
    'typescript/switch-exhaustiveness-check': ['error', {considerDefaultExhaustiveForUnions: true}],
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    // `typeof import('x')` is how the type of a package that is loaded late is named.
    'typescript/consistent-type-imports': ['error', {disallowTypeAnnotations: false}],
    // JSON values are printed as keys and in messages all the time; what matters is that coercion never prints one.
    'typescript/no-base-to-string': 'off',
    // Texts are taken apart by code points on purpose.
    'typescript/no-misused-spread': 'off',
    // Error rules read "when …, then …"; their `then` is a word, which no await calls.
    'unicorn/no-thenable': 'off',
    'node/no-process-env': 'error',
    'max-lines': ['error', {max: 600}],
    'max-lines-per-function': ['error', {max: 80}],
    'max-params': ['error', {max: 4}],
  },
  overrides: [
    ...rooms,
    connector,
    // Tests build their room from real parts, so they may import any room; a connector's may not.
    {
      files: ['src/**/*.test.ts'],
      rules: {
        ...restricted([duckdb]),
        'max-lines-per-function': 'off',
        'typescript/no-redundant-type-constituents': 'off',
        'typescript/require-array-sort-compare': 'off',
        'typescript/unbound-method': 'off',
      },
    },
    {files: ['src/engine/*.test.ts'], rules: {'no-restricted-imports': 'off'}},
    connectorProofs,
    {files: ['src/runtime/config/**/*.ts'], rules: {'node/no-process-env': 'off'}},
    {files: ['src/connectors/*/index.ts'], rules: {'import/no-default-export': 'off'}},
    {
      files: ['test/**', 'bench/**', 'scripts/**', '*.config.ts'],
      rules: {
        'import/no-default-export': 'off',
        'node/no-process-env': 'off',
        'max-lines-per-function': 'off',
        'typescript/no-non-null-assertion': 'off',
      },
    },
  ],
  ignorePatterns: ['dist', 'build', 'coverage'],
};

const text = `${JSON.stringify(config, null, 2)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== text) {
    console.error('.oxlintrc.json is not what scripts/write-oxlintrc.mjs writes: run it without --check.');
    process.exitCode = 1;
  }
} else {
  writeFileSync(FILE, text);
}
