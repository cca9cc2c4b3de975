import type {JsonObject} from 'sluice/sdk';
import {simulate, text, type SimulatorSpec} from 'sluice/simulator';
import {simulatedSource, simulatorOf, type ConnectorProof, type ProofSource} from 'sluice/testkit';

import mySource from './index.ts';

const TOKEN = 'token-of-the-simulator';
const PAGE_FILES = 2;
const HOUR_MS = 3_600_000;

/** My source as its documents describe it: a listing of files, and each file, one JSON document per line. */
export function mySourceSimulator(fileCount: number): SimulatorSpec {
  return {
    name: 'My source',
    auth: {kind: 'bearer', tokens: [TOKEN], unauthorized: {status: 401, body: {error: {message: 'invalid token'}}}},
    collections: {
      files: {
        key: 'name',
        // Two files share each time.
        rows: ({nowMs}) =>
          Array.from({length: fileCount}, (_, index) =>
            exportedFile(
              `events-${index}.ndjson`,
              nowMs - (fileCount - Math.floor(index / 2)) * HOUR_MS,
              index * 100 + 1,
              10,
            ),
          ),
      },
    },
    endpoints: [
      {
        path: '/exports',
        list: 'files',
        params: {cursor: {role: 'cursor'}, limit: {role: 'limit', default: PAGE_FILES, max: PAGE_FILES}},
        paging: {style: 'cursor', next: {body: 'next_cursor'}, whenLast: 'null'},
        wrap: {records: 'data'},
        map: ({name = null, modified_at = null, rows}) => ({name, modified_at, row_count: linesOf(rows).length}),
      },
      {
        path: '/exports/{name}',
        handler: (request, context) => {
          const file = context.collection('files').get(request.params['name'] ?? '');
          if (file === undefined) return context.error('notFound', 'no such file');
          return text(
            linesOf(file['rows'])
              .map((row) => `${JSON.stringify(row)}\n`)
              .join(''),
            'application/x-ndjson',
          );
        },
      },
    ],
  };
}

function exportedFile(name: string, modifiedMs: number, firstId: number, count: number): JsonObject {
  const at = new Date(modifiedMs).toISOString();
  const rows = Array.from({length: count}, (_, index) => ({id: firstId + index, kind: `kind ${index % 3}`, at}));
  return {name, modified_at: at, rows};
}

function linesOf(rows: JsonObject[string]): readonly JsonObject[] {
  return Array.isArray(rows) ? (rows as readonly JsonObject[]) : [];
}

let nextFile = 1;

/** Exports one more file; `agoMs`: its time lies so far back. */
function exportMore(source: ProofSource, count: number, agoMs = 0): void {
  const number = nextFile++;
  const file = exportedFile(`more-${number}.ndjson`, source.clock.nowMs() - agoMs, 1_000_000 + number * 1000, count);
  simulatorOf(source).collection('files').insert(file);
}

/** What proves the connector: `sluice connector test .` runs the suites with it. */
export const mySourceProof: ConnectorProof = {
  definition: mySource,
  async start({seed, rows}) {
    const simulator = await simulate(mySourceSimulator(Math.max(1, Math.ceil((rows ?? 30) / 10))), {seed});
    return simulatedSource(simulator, {
      connectionOptions: {base_url: simulator.url, token: TOKEN},
      wrongCredentials: {token: 'another-token'},
      // Tokens of this API do not expire.
      withoutFaults: ['expired access tokens'],
    });
  },
  tables: {
    events: {
      pagingStyle: 'files',
      truth: (source) =>
        simulatorOf(source)
          .collection('files')
          .rows()
          .flatMap(({rows}) => linesOf(rows)),
      mutations: {
        insert: (source, count) => exportMore(source, count),
        // Two files of one time.
        ties(source, count) {
          exportMore(source, Math.ceil(count / 2));
          exportMore(source, Math.floor(count / 2));
        },
        // A file that appears after newer ones were read.
        late: (source, count) => exportMore(source, count, 3 * HOUR_MS),
      },
    },
  },
  exclude: {
    'generic: reads the same rows, or more, from the same offset':
      'which files were read is kept in the ledger, which is put back together with the offset',
  },
};
