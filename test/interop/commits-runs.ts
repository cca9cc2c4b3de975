import {appendFile, mkdir} from 'node:fs/promises';
import {join} from 'node:path';

import type {RunResult} from '../../src/runtime/api.ts';
import {ingest} from '../../src/runtime/ingest.ts';
import {restoreTable} from '../../src/runtime/restore.ts';
import type {InteropBench} from './suite.ts';

const TABLE = 'main.raw.people';

/** Runs of a pipeline after Spark has optimised, changed and restored its table; and a restore of ours that Spark reads. */
export async function checkForeignRuns(bench: InteropBench): Promise<void> {
  const {readers, report} = bench;
  const flow = await PeopleFlow.start(bench);
  const {path} = flow;
  await flow.land('1,Ada');
  await flow.land('2,Grace');
  await readers.sql(`optimize ${path}`);
  report('a flow goes on after an OPTIMIZE of spark', outcome(await flow.land('3,Radia'), 'COMPLETED', []));
  await readers.sql(`delete from ${path} where id = 1`);
  const deleted = await flow.land('4,Barbara');
  report('a flow goes on after a DELETE of spark, and says so', outcome(deleted, 'COMPLETED', ['FOREIGN_WRITE']));
  report('spark reads what both wrote', await flow.differs('2 Grace,3 Radia,4 Barbara'));
  const good = await flow.version();
  await flow.land('5,Karen');
  await readers.sql(`restore table ${path} to version as of ${good}`);
  const stopped = await flow.land('6,Frances');
  report('a flow stops after a RESTORE of spark', outcome(stopped, 'FAILED', [], 'TABLE_CHANGED_OUTSIDE'));
  const lake = {lake: flow.lake, signal: new AbortController().signal};
  await restoreTable(TABLE, {...lake, to: String(good), dryRun: false});
  report('spark reads what sluice restored', await flow.differs('2 Grace,3 Radia,4 Barbara'));
  const again = await flow.run();
  report('a flow goes on after a restore of sluice, where it stood then', outcome(again, 'COMPLETED', []));
  report('spark reads every row once after it', await flow.differs('2 Grace,3 Radia,4 Barbara,5 Karen,6 Frances'));
  const changes = await flow.changes();
  report(
    'spark reads the changes that a restore made',
    changes.includes('delete 5') && changes.includes('insert 5') ? null : changes.join(),
  );
}

type Ended = RunResult & {readonly notes: readonly string[]};

function outcome(run: Ended, state: string, notes: readonly string[], code?: string): string | null {
  const [flow] = run.flows;
  const wrong = run.state !== state || (code !== undefined && flow?.errorCode !== code);
  const lacks = notes.filter((note) => !run.notes.includes(note));
  return wrong || lacks.length > 0
    ? `${run.state} ${flow?.errorCode ?? ''} ${flow?.errorMessage ?? ''} ${run.notes.join()}`
    : null;
}

/** A pipeline over a folder of files in a lake of its own. */
class PeopleFlow {
  readonly lake: string;
  readonly path: string;
  readonly #bench: InteropBench;
  readonly #inputs: string;
  #files = 0;

  private constructor(bench: InteropBench) {
    this.#bench = bench;
    this.lake = join(bench.lake.folder, 'runs');
    this.path = `delta.\`${join(this.lake, 'main/raw/people')}\``;
    this.#inputs = join(bench.lake.folder, 'inputs');
  }

  static async start(bench: InteropBench): Promise<PeopleFlow> {
    const flow = new PeopleFlow(bench);
    await mkdir(join(flow.#inputs, 'people'), {recursive: true});
    return flow;
  }

  async land(line: string): Promise<Ended> {
    this.#files += 1;
    await appendFile(join(this.#inputs, 'people', `${this.#files}.csv`), `id,name\n${line}\n`);
    return this.run();
  }

  async run(): Promise<Ended> {
    const notes: string[] = [];
    const table = {
      source_table: 'people',
      destination_catalog: 'main',
      destination_schema: 'raw',
      table_configuration: {table_properties: {'delta.enableChangeDataFeed': 'true'}},
    };
    const spec = {
      resources: {
        connections: {folder: {connection_type: 'FILES', options: {path: this.#inputs}}},
        pipelines: {
          people: {
            catalog: 'main',
            schema: 'raw',
            pipeline_spec: {connection_name: 'folder', objects: [{table}]},
          },
        },
      },
    };
    const result = await ingest(spec, {
      lake: this.lake,
      onUpdate: (update) => {
        if (update.kind === 'note') notes.push(update.code);
      },
    });
    return {...result, notes};
  }

  async version(): Promise<number> {
    const [row] = await this.#bench.readers
      .sql(`select max(version) from (describe history ${this.path})`)
      .catch(() => []);
    if (row !== undefined) return Number(row[0]);
    const [first] = await this.#bench.readers.sql(`describe history ${this.path}`);
    return Number(first?.[0]);
  }

  async differs(wanted: string): Promise<string | null> {
    const rows = await this.#bench.readers.sql(`select concat(id, ' ', name) from ${this.path} order by id`);
    const found = rows.map(([text]) => text).join();
    return found === wanted ? null : found;
  }

  async changes(): Promise<readonly string[]> {
    const answer = await this.#bench.readers.changes('spark', join(this.lake, 'main/raw/people'), 0);
    if ('error' in answer) return [answer.error];
    return answer.rows.map((row) => `${String(row['_change_type'])} ${String(row['id'])}`);
  }
}
