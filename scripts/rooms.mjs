/**
 * Room under src/ -> rooms that it may import: the table of ARCHITECTURE.md, read by the lint configuration and by
 * test/architecture.test.ts.
 */
export const ROOMS = {
  core: [],
  storage: ['core'],
  engine: ['core'],
  delta: ['core', 'storage', 'engine'],
  apply: ['core', 'delta', 'engine'],
  sdk: ['core'],
  wire: ['core'],
  state: ['core', 'storage'],
  pipeline: ['core', 'sdk', 'apply', 'delta', 'state'],
  connectors: ['sdk', 'wire'],
  simulator: ['core'],
  testkit: ['core', 'storage', 'engine', 'delta', 'apply', 'sdk', 'wire', 'state', 'pipeline', 'simulator'],
  runtime: ['core', 'storage', 'engine', 'delta', 'apply', 'sdk', 'wire', 'state', 'pipeline', 'connectors'],
  cli: ['core', 'state', 'runtime', 'testkit', 'simulator'],
};

/** Modules of Node that do I/O; `core` imports none of them. */
export const FILE_IO_MODULES = ['fs', 'net', 'http', 'https', 'http2', 'tls', 'dgram', 'dns', 'child_process', 'worker_threads'];
