import {join} from 'node:path';

import {translateCondition} from '../../src/delta/constraint-sql.ts';
import {createTable} from '../../src/delta/table.ts';
import {allTypesRows, allTypesSchema} from './all-types.ts';
import type {InteropBench} from './suite.ts';
import {selectRows} from './values.ts';

/** Conditions that we evaluate in Spark's place, over values at the edges of every type. */
const CONDITIONS: readonly string[] = [
  'byte >= -1',
  'long > 9007199254740992',
  'long >= 9007199254740993.0',
  'long < 1e19',
  'integer < long',
  'decimal_9_0 = integer',
  'short BETWEEN byte AND 100',
  'long = double',
  'decimal_18_6 < double',
  'float >= 0',
  'float = 0',
  'float <> float',
  'float IN (0, 1)',
  'double = 0',
  'double = double',
  'double > 0.1',
  'double >= 0.1',
  'double IN (0.1, 0)',
  'double > 1e300',
  'plain_double <= 123456789.12345679',
  'decimal_4_2 = 0.01',
  'decimal_18_6 > 0.5',
  'decimal_38_10 <= 9999999999999999999999999999.9999999999',
  'decimal_38_38 > decimal_38_38',
  "string < 'a'",
  "string >= 'Ž'",
  "string > '😀'",
  "string LIKE '%o%'",
  "string LIKE '_'",
  "string NOT LIKE '%x'",
  "string IN ('', ' ')",
  "string <=> ''",
  'string <=> NULL',
  'boolean',
  'NOT boolean',
  'boolean = true',
  'boolean < true',
  "`date` BETWEEN DATE '1582-10-15' AND DATE '2024-02-29'",
  "`timestamp` <= TIMESTAMP '1969-12-31T23:59:59.999999Z'",
  "`timestamp` > TIMESTAMP '1582-10-10 01:02:03.4+00:00'",
  '`struct`.name IS NULL',
  "`struct`.home.zip = '10115'",
  'array IS NOT NULL AND map IS NULL OR long IS NULL',
  'NOT (long > 0 AND double IS NULL)',
  'long NOT IN (1, 2)',
];

/** Both engines answer alike to every condition that `translateCondition` takes. */
export async function checkConditions({lake, readers, report}: InteropBench): Promise<void> {
  const root = 'main/raw/conditions';
  const table = await createTable(lake.context, root, {schema: allTypesSchema});
  const adds = await table.writeFiles(
    {select: selectRows(allTypesSchema, allTypesRows), schema: allTypesSchema},
    lake.signal,
  );
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  const ids = (condition: string): string => `array_join(sort_array(collect_list(if(${condition}, id, null))), ',')`;
  const [spark] = await readers.sql(
    `select ${CONDITIONS.map(ids).join(', ')} from delta.\`${join(lake.folder, root)}\``,
  );
  for (const [index, condition] of CONDITIONS.entries()) {
    const {sql} = translateCondition(condition, allTypesSchema);
    const rows = await lake.engine.query(`SELECT id FROM (${await table.readSql()}) AS q WHERE ${sql} ORDER BY id`);
    const ours = rows.map((row) => String(row['id'])).join(',');
    const theirs = String(spark?.[index] ?? '');
    report(`spark and sluice agree on ${condition}`, ours === theirs ? null : `rows ${ours} instead of ${theirs}`);
  }
}
