import type {ConnectorSpec, OptionSpec, OptionSpecs} from '../../sdk/define-connector.ts';
import type {DescribedTable} from './describe-tables.ts';

/** What `connector docs` writes from. */
export interface DocumentedConnector {
  readonly name: string;
  readonly spec: ConnectorSpec;
  /** Null: they could not be asked for; that part of the document is left as it is. */
  readonly tables: readonly DescribedTable[] | null;
}

/** A document with its generated parts brought up to date; text outside the markers stays. An empty one is begun. */
export function documentedText(text: string, connector: DocumentedConnector): string {
  const {name, spec, tables} = connector;
  const begun = text.trim() === '' ? `# ${spec.displayName}\n\n${spec.description}\n` : text;
  const withOptions = withPart(begun, 'options', optionsMarkdown(name, spec));
  return tables === null ? withOptions : withPart(withOptions, 'tables', tablesMarkdown(tables));
}

/** Options of the connection, of the ways to log in, and of tables. */
function optionsMarkdown(name: string, spec: ConnectorSpec): string {
  const methods = Object.entries(spec.authMethods ?? {});
  return [
    '## Connection',
    '',
    ...optionTable(spec.connection, `The connector \`${name}\` needs no options.`),
    ...methods.flatMap(([method, {description, options}]) => [
      '',
      `### Login: \`${method}\``,
      '',
      description,
      '',
      ...optionTable(options, 'No options.'),
    ]),
    '',
    '## Table options',
    '',
    ...optionTable(spec.table, 'Tables take no options of the connector.'),
    ...('max_records_per_batch' in spec.table ? [] : ['', BATCH_LIMIT]),
  ].join('\n');
}

/** Every table has it: the framework cuts. */
const BATCH_LIMIT = 'Every table also takes `max_records_per_batch`: records after which a micro-batch ends.';

function optionTable(options: OptionSpecs, none: string): readonly string[] {
  const entries = Object.entries(options);
  if (entries.length === 0) return [none];
  return [
    '| Option | Type | Default | Meaning |',
    '|---|---|---|---|',
    ...entries.map(
      ([name, option]) =>
        `| \`${name}\` | ${typeText(option)} | ${defaultText(option)} | ${cell(option.description)} |`,
    ),
  ];
}

function typeText({type, secret, min, max, enum: values}: OptionSpec): string {
  const range =
    min !== undefined && max !== undefined
      ? ` ${min}–${max}`
      : min !== undefined
        ? ` ≥ ${min}`
        : max !== undefined
          ? ` ≤ ${max}`
          : '';
  const choice = values === undefined ? '' : `: ${values.map((value) => `\`${cell(value)}\``).join(', ')}`;
  return `${type}${range}${choice}${secret === true ? ', secret' : ''}`;
}

function defaultText(option: OptionSpec): string {
  if (option.required === true) return 'required';
  const value = option.default;
  if (value === undefined) return '';
  return `\`${cell(Array.isArray(value) ? value.join(', ') : String(value))}\``;
}

function tablesMarkdown(tables: readonly DescribedTable[]): string {
  const overview = tables.map(
    ({name, primaryKeys, cursorField, ingestionType, comment}) =>
      `| \`${cell(name)}\` | ${primaryKeys.map(cell).join(', ')} | ${cell(cursorField ?? '')} | ${ingestionType} | ${cell(comment ?? '')} |`,
  );
  return [
    '## Tables',
    '',
    '| Table | Key | Cursor | Ingestion type | |',
    '|---|---|---|---|---|',
    ...overview,
    ...tables.flatMap(({name, columns}) => [
      '',
      `### \`${name}\``,
      '',
      '| Column | Type | Meaning |',
      '|---|---|---|',
      ...columns.map(
        (column) =>
          `| \`${cell(column.name)}\` | ${cell(column.type)}${column.nullable ? '' : ' NOT NULL'} | ${cell(column.comment ?? '')} |`,
      ),
    ]),
  ].join('\n');
}

function cell(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim();
}

/** Replaces what stands between the markers of a part; a document without them gets it at its end. */
function withPart(text: string, part: string, content: string): string {
  const begin = `<!-- sluice:${part} (written by "sluice connector docs") -->`;
  const end = `<!-- /sluice:${part} -->`;
  const written = `${begin}\n\n${content}\n\n${end}`;
  const from = text.indexOf(`<!-- sluice:${part}`);
  const to = text.indexOf(end);
  if (from < 0 || to < from) return `${text.trimEnd()}\n\n${written}\n`;
  return `${text.slice(0, from)}${written}${text.slice(to + end.length)}`;
}
