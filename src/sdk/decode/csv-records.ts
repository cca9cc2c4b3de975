import {Readable} from 'node:stream';

import type {Options} from 'csv-parse';

import {IngestError, isIngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {textPieces} from './body-text.ts';

/** The form of a CSV body. */
export interface CsvForm {
  /** Default `,`. */
  readonly delimiter?: string;
  /** Default `"`. */
  readonly quote?: string;
  /** Names of the columns; default: the first line names them. */
  readonly columns?: readonly string[];
  /** Unquoted text that means null beside the empty cell. */
  readonly nullText?: string;
  /** Default `utf-8`. */
  readonly charset?: string;
}

const ROWS_AT_ONCE = 500;
const MOST_RECORD_CHARS = 33_554_432;

/**
 * Streams the records of a CSV body, some hundred at once. All values are texts; an empty cell is null unless it is quoted.
 * @throws SOURCE_ERROR when a record has another number of cells than there are columns, a quote is left open, two columns
 * have one name, or the first line is that of JSON, HTML or XML.
 */
export async function* csvRecords(
  body: AsyncIterable<Uint8Array>,
  form: CsvForm = {},
): AsyncGenerator<readonly JsonObject[], void> {
  const {parse} = await import('csv-parse');
  const parser = parse(optionsOf(form));
  const source = Readable.from(textPieces(body, form.charset));
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  let rows: JsonObject[] = [];
  try {
    for await (const row of parser as AsyncIterable<JsonObject>) {
      if (rows.push(row) < ROWS_AT_ONCE) continue;
      yield rows;
      rows = [];
    }
  } catch (error) {
    throw isIngestError(error) ? error : malformed(error);
  } finally {
    source.destroy();
    parser.destroy();
  }
  if (rows.length > 0) yield rows;
}

function optionsOf({delimiter = ',', quote = '"', columns, nullText}: CsvForm): Options {
  return {
    delimiter,
    quote,
    columns: columns === undefined ? namesOf : uniqueNames(columns),
    skip_empty_lines: true,
    max_record_size: MOST_RECORD_CHARS,
    cast: (value, {quoting, header}) => (!header && !quoting && (value === '' || value === nullText) ? null : value),
  };
}

/** Names of the first line. An error that comes as a success would else be a line of names without rows. */
function namesOf(names: readonly string[]): string[] {
  if (/^\s*[{[<]/.test(names[0] ?? ''))
    throw new IngestError('SOURCE_ERROR', 'The answer that should be CSV is JSON, HTML or XML.', {class: 'transient'});
  return uniqueNames(names);
}

function uniqueNames(names: readonly string[]): string[] {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name) || name === '')
      throw new IngestError(
        'SOURCE_ERROR',
        `The CSV answer has ${name === '' ? 'a column without a name' : `two columns "${name}"`}.`,
        {
          class: 'config',
        },
      );
    seen.add(name);
  }
  return [...names];
}

/** The parser's messages show cells: only its code and its line are passed on. */
function malformed(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !/^(?:CSV_|INVALID_OPENING_QUOTE$)/.test(String(error.code)))
    return error;
  const line = 'lines' in error && typeof error.lines === 'number' ? ` in line ${error.lines}` : '';
  return new IngestError('SOURCE_ERROR', `The CSV answer is malformed${line} (${String(error.code)}).`);
}
