import {join} from 'node:path';

import {allTypesRows, searchedColumns} from './all-types.ts';
import {writeAppliedTables} from './apply-tables.ts';
import {writeByTurns} from './foreign-writes.ts';
import type {InteropBench, InteropSuite} from './suite.ts';
import {sparkLiteral} from './values.ts';
import {writeDeltaTables} from './write-tables.ts';

/** Tables of every type and apply mode, statistics, and tables that Spark and Sluice write by turns. */
export const basicSuite: InteropSuite = {
  name: 'basic',
  async run(bench) {
    const {lake, readers} = bench;
    const tables = [...(await writeDeltaTables(lake)), ...(await writeAppliedTables(lake))];
    for (const table of tables) await bench.checkReads(table);
    for (const deletionVectors of [true, false]) {
      const {findings, table} = await writeByTurns(lake, readers, deletionVectors);
      for (const {name, problem} of findings) bench.report(name, problem);
      await bench.checkReads(table);
    }
    await checkSkipping(bench, join(lake.folder, 'main/raw/every_type'));
  },
};

/** Spark skips files by our statistics: it must find every value that is there. */
async function checkSkipping({readers, report}: InteropBench, folder: string): Promise<void> {
  for (const {name, type, values} of searchedColumns) {
    const searched = values.map((value) => ({value, literal: sparkLiteral(type, value)}));
    const counts = searched.map(
      ({literal}) => `(select count(*) from delta.\`${folder}\` where \`${name}\` = ${literal})`,
    );
    const wanted = values.map((value) => {
      const same = allTypesRows.filter((row) => row[name] !== null && Object.is(row[name], value));
      return String(same.length);
    });
    const [found] = await readers.sql(`select ${counts.join(', ')}`);
    const missed = searched.filter((_, index) => Number(found?.[index] ?? 0) < Number(wanted[index]));
    report(
      `spark finds every ${name} by statistics`,
      missed.length === 0 ? null : `not found: ${missed.map(({literal}) => literal).join(', ')}`,
    );
  }
}
