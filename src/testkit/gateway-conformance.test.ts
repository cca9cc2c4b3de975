import {describe, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import {changeLogConformance, type LogUnderTest} from './gateway-conformance.ts';
import {ScriptedDatabase} from './scripted-log.ts';
import {scriptedCodec, ScriptedSource} from './scripted-source.ts';

function scripted(isResumable: boolean): LogUnderTest {
  const database = new ScriptedDatabase();
  database.createTable('rows');
  const none = (): Promise<never> => Promise.reject(new Error('A log reads no files.'));
  const quiet = (): void => undefined;
  return {
    open: () => Promise.resolve(new ScriptedSource(database, {isResumable, batchFrames: 20})),
    codec: scriptedCodec,
    table: 'rows',
    longTransaction: 100,
    context: (signal) => ({
      signal,
      clock: systemClock,
      log: {debug: quiet, info: quiet, warn: quiet},
      files: {list: none, inferSchema: none},
    }),
    write: async (...writes) => {
      database.commit(
        ...writes.map((write) =>
          'upsert' in write
            ? ({table: 'rows', op: 'upsert', row: {...write.upsert}} as const)
            : ({table: 'rows', op: 'delete', row: {id: write.delete}} as const),
        ),
      );
      // Others have a turn.
      await new Promise((resolve) => setImmediate(resolve));
    },
    rows: () => Promise.resolve([...database.rows('rows').values()].map(({id, value}) => ({id, value: String(value)}))),
  };
}

describe.each([
  ['one view for all chunks', false],
  ['a view for each chunk', true],
])('a scripted change log with %s', (_, isResumable) => {
  const log = scripted(isResumable);
  for (const {name, run} of changeLogConformance()) it(name, () => run(log));
});
