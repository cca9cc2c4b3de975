/**
 * `(a, b) > (x, y)` and the like, written out so that every database uses an index over the columns: rows behind a key, or up to it.
 * @param columns as SQL, in the order of the key
 * @param values as SQL, one for each column
 */
export function beyondSql(columns: readonly string[], values: readonly string[], operator: '>' | '<='): string {
  const [column, ...rest] = columns;
  const [value = 'null', ...others] = values;
  if (column === undefined) return '1 = 1';
  const strict = operator === '>' ? '>' : '<';
  if (rest.length === 0) return `${column} ${operator} ${value}`;
  // The first condition says nothing new: it gives the optimizer a range.
  return `${column} ${strict}= ${value} and (${column} ${strict} ${value} or (${column} = ${value} and ${beyondSql(rest, others, operator)}))`;
}
