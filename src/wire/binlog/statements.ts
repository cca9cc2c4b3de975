/** What a statement in the log does to a table that rows events do not tell. */
export interface TableEffect {
  /**
   * `truncate`: emptied. `drop`: gone. `create`: there, with the rows that the log tells from here on. `replace`: holds the rows of a table
   * that was renamed. `harmless`: the definition changed, the rows as the log knows them did not. `rewrite`: values may have changed.
   * `write`: rows were changed by a statement.
   */
  readonly effect: 'truncate' | 'drop' | 'create' | 'replace' | 'harmless' | 'rewrite' | 'write';
  readonly database: string;
  readonly name: string;
}

/**
 * What a statement does to tables, told by its first words: no grammar, so that statements of all versions pass. In doubt a
 * change counts as `rewrite`.
 * @param database where names without a database are.
 */
export function tableEffects(sql: string, database: string): readonly TableEffect[] {
  const tokens = tokenize(sql);
  const words = new Words(tokens, database);
  switch (words.next()) {
    case 'TRUNCATE':
      words.skip('TABLE');
      return words.names().map((table) => ({effect: 'truncate', ...table}));
    case 'DROP':
      words.skip('TEMPORARY');
      if (!words.skip('TABLE') && !words.skip('TABLES')) return [];
      words.skipAll('IF', 'EXISTS');
      return words.names().map((table) => ({effect: 'drop', ...table}));
    case 'CREATE':
      return create(words);
    case 'RENAME':
      return words.skip('TABLE') || words.skip('TABLES') ? renames(words) : [];
    case 'ALTER':
      return alter(words);
    case 'INSERT':
    case 'UPDATE':
    case 'DELETE':
    case 'REPLACE':
    case 'LOAD':
    case 'WITH':
      return words.allNames().map((table) => ({effect: 'write', ...table}));
    default:
      return [];
  }
}

interface Token {
  /** Upper case for a bare word. */
  readonly text: string;
  /** The identifier; null for punctuation, texts and numbers. */
  readonly name: string | null;
  readonly isQuoted: boolean;
}

type TableName = Omit<TableEffect, 'effect'>;

/** Comments are skipped; those that servers execute are opened. Strings and numbers keep no content. */
const TOKEN =
  /\/\*M?!\d*|\*\/|\/\*[\s\S]*?\*\/|(?:--(?=\s|$)|#)[^\n]*|`((?:[^`]|``)*)`|"((?:[^"\\]|""|\\[\s\S])*)"|'(?:[^'\\]|''|\\[\s\S])*'|([\p{L}\p{N}_$@-￿]+)|\S/gu;

function tokenize(sql: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const [text, ticked, quoted, word] of sql.matchAll(TOKEN)) {
    if (text.startsWith('/*') || text === '*/' || text.startsWith('#') || /^--\s*/.test(text)) continue;
    if (ticked !== undefined) tokens.push({text: '', name: ticked.replaceAll('``', '`'), isQuoted: true});
    else if (quoted !== undefined) tokens.push({text: '', name: quoted.replaceAll('""', '"'), isQuoted: true});
    else if (word !== undefined) tokens.push({text: word.toUpperCase(), name: word, isQuoted: false});
    else tokens.push({text: text.startsWith("'") ? "'" : text, name: null, isQuoted: false});
  }
  return tokens;
}

/** Goes through tokens word by word. */
class Words {
  readonly #tokens: readonly Token[];
  readonly #database: string;
  #at = 0;

  constructor(tokens: readonly Token[], database: string) {
    this.#tokens = tokens;
    this.#database = database;
  }

  /** The next word, moved over; null at the end. */
  next(): string | null {
    return this.#tokens[this.#at++]?.text ?? null;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  skip(word: string): boolean {
    if (this.#tokens[this.#at]?.text !== word) return false;
    this.#at++;
    return true;
  }

  skipAll(...words: readonly string[]): boolean {
    const all = words.every((word, index) => this.#tokens[this.#at + index]?.text === word);
    if (all) this.#at += words.length;
    return all;
  }

  /** `name` or `database.name`. */
  name(): TableName | null {
    const first = this.#tokens[this.#at]?.name;
    if (first === undefined || first === null) return null;
    this.#at++;
    if (this.#tokens[this.#at]?.text !== '.') return {database: this.#database, name: first};
    const second = this.#tokens[this.#at + 1]?.name;
    if (second === undefined || second === null) return null;
    this.#at += 2;
    return {database: first, name: second};
  }

  /** Names with commas between them. */
  names(): readonly TableName[] {
    const names: TableName[] = [];
    do {
      const name = this.name();
      if (name === null) break;
      names.push(name);
    } while (this.skip(','));
    return names;
  }

  /** Everything that could be the name of a table. */
  allNames(): readonly TableName[] {
    const names: TableName[] = [];
    for (; !this.isAtEnd;) {
      const name = this.name();
      if (name === null) this.#at++;
      else names.push(name);
    }
    return names;
  }

  /** The clauses that are left, cut at commas outside of parentheses. */
  clauses(): readonly (readonly Token[])[] {
    const clauses: Token[][] = [[]];
    let depth = 0;
    for (const token of this.#tokens.slice(this.#at)) {
      if (token.text === '(') depth++;
      if (token.text === ')') depth--;
      if (token.text === ',' && depth === 0) clauses.push([]);
      else clauses.at(-1)?.push(token);
    }
    return clauses;
  }
}

function create(words: Words): readonly TableEffect[] {
  const replaces = words.skipAll('OR', 'REPLACE');
  if (words.skip('TEMPORARY') || !words.skip('TABLE')) return [];
  // The statement stands in the log also where the table was there already.
  const isMaybe = words.skipAll('IF', 'NOT', 'EXISTS');
  const table = words.name();
  if (table === null) return [];
  if (replaces) return [{effect: 'rewrite', ...table}];
  return [{effect: isMaybe ? 'harmless' : 'create', ...table}];
}

function renames(words: Words): readonly TableEffect[] {
  const effects: TableEffect[] = [];
  words.skipAll('IF', 'EXISTS');
  do {
    const from = words.name();
    if (words.skip('WAIT')) words.next();
    words.skip('NOWAIT');
    words.skip('TO');
    const to = words.name();
    if (from === null || to === null) break;
    effects.push({effect: 'drop', ...from}, {effect: 'replace', ...to});
  } while (words.skip(','));
  return effects;
}

function alter(words: Words): readonly TableEffect[] {
  for (const word of ['ONLINE', 'OFFLINE', 'IGNORE']) words.skip(word);
  if (!words.skip('TABLE')) return [];
  words.skipAll('IF', 'EXISTS');
  const table = words.name();
  if (table === null) return [];
  const clauses = words.clauses();
  const effects: TableEffect[] = [];
  for (const clause of clauses) {
    const target = renameTarget(clause, table.database);
    if (target !== null) effects.push({effect: 'drop', ...table}, {effect: 'replace', ...target});
  }
  const isHarmless = clauses.every((clause) => isHarmlessClause(clause));
  effects.unshift({effect: isHarmless ? 'harmless' : 'rewrite', ...table});
  return effects;
}

/** `RENAME [TO|AS] name`, which is not `RENAME COLUMN|INDEX|KEY`. */
function renameTarget(clause: readonly Token[], database: string): TableName | null {
  const words = new Words(clause, database);
  if (!words.skip('RENAME')) return null;
  if (['COLUMN', 'INDEX', 'KEY'].some((word) => words.skip(word))) return null;
  if (!words.skip('TO')) words.skip('AS');
  return words.name();
}

/** Options and parts that are not columns. */
const NOT_DATA = new Set(['INDEX', 'KEY', 'UNIQUE', 'FULLTEXT', 'SPATIAL', 'CONSTRAINT', 'FOREIGN', 'CHECK']);
const OPTIONS = new Set([
  'ALGORITHM',
  'AUTO_INCREMENT',
  'AVG_ROW_LENGTH',
  'COMMENT',
  'COMPRESSION',
  'DISABLE',
  'ENABLE',
  'ENGINE',
  'FORCE',
  'KEY_BLOCK_SIZE',
  'LOCK',
  'MAX_ROWS',
  'MIN_ROWS',
  'ORDER',
  'ROW_FORMAT',
  'STATS_AUTO_RECALC',
  'STATS_PERSISTENT',
  'STATS_SAMPLE_PAGES',
  'WAIT',
  'NOWAIT',
]);

function isHarmlessClause(clause: readonly Token[]): boolean {
  const [first, second] = clause;
  if (first === undefined) return true;
  const text = second?.isQuoted === true ? '' : (second?.text ?? '');
  switch (first.text) {
    case 'ADD':
      return NOT_DATA.has(text) || isPlainColumn(clause);
    case 'DROP':
      // Columns that go leave the others as they are; a primary key that goes changes how rows are known.
      return !['PRIMARY', 'PARTITION', 'SYSTEM'].includes(text);
    case 'RENAME':
      return text !== 'COLUMN';
    case 'ALTER':
      return true;
    case 'DEFAULT':
    case 'CHARACTER':
    case 'CHARSET':
    case 'COLLATE':
      // The default of columns to come.
      return true;
    default:
      return OPTIONS.has(first.text);
  }
}

/** A new column that is NULL in the rows that are there. */
function isPlainColumn(clause: readonly Token[]): boolean {
  const words = clause.filter(({isQuoted}) => !isQuoted).map(({text}) => text);
  if (words.includes('(') && (words[1] === '(' || (words[1] === 'COLUMN' && words[2] === '('))) return false;
  const makesValues = ['PRIMARY', 'AUTO_INCREMENT', 'AS', 'GENERATED', 'SERIAL', 'PARTITION', 'SYSTEM', 'PERIOD'];
  if (makesValues.some((word) => words.includes(word))) return false;
  if (words.some((word, index) => word === 'NOT' && words[index + 1] === 'NULL')) return false;
  const byDefault = words.indexOf('DEFAULT');
  return byDefault === -1 || words[byDefault + 1] === 'NULL';
}
