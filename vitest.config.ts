import {defineConfig, type ViteUserConfig} from 'vitest/config';

const ci = process.env['CI'] === 'true';

const config: ViteUserConfig = defineConfig({
  test: {
    restoreMocks: true,
    // What is waited for comes late on a machine that others use, too.
    expect: {poll: {timeout: 15_000}},
    // Much of a test's time is waiting for simulators that pause, servers that start and clocks that go on: more than the cores at once.
    maxWorkers: 3,
    reporters: ci
      ? ['default', ['junit', {outputFile: 'build/reports/vitest.xml'}], './test/no-silent-skips.ts']
      : ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{src,test,bench,scripts}/**/*.test.ts'],
          // A second suffix names a server that the test needs.
          exclude: ['**/*.*.test.ts', '**/node_modules/**'],
          // Files share one module graph: a tenth of the time. Module state that a test changes it must put back.
          isolate: false,
          // Generous: a machine that others use too is several times slower, and that is no fault of a test.
          testTimeout: 40_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'pg',
          include: ['{src,test}/**/*.pg.test.ts'],
          globalSetup: ['test/pg.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'mysql',
          include: ['{src,test}/**/*.mysql.test.ts'],
          globalSetup: ['test/mysql.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'stores',
          include: ['{src,test}/**/*.stores.test.ts'],
          globalSetup: ['test/stores.ts'],
          // A whole lake is loaded by processes that are killed and started again.
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

export default config;
