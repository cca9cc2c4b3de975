import {IngestError} from '../core/errors.ts';
import {didYouMean} from '../core/suggest.ts';
import type {CallContext, Connector} from '../sdk/contract.ts';
import {parseQualifiedName, qualifiedName} from '../sdk/names.ts';
import {destinationName, type OpenConnector} from './resolve-flow.ts';
import type {ObjectSpec, PipelineSpec} from './spec.ts';

/** A source table that an object of the spec selects. */
export interface SelectedTable {
  readonly object: ObjectSpec;
  /** The table as the connector names it. */
  readonly sourceTable: string;
  /** `catalog.schema.table` of the destination. */
  readonly flow: string;
}

/**
 * The source tables of a pipeline, `schema` objects expanded by what the source has now. A table that an own `table`
 * object names is not taken a second time by its schema's object.
 * @throws UNKNOWN_TABLE, INVALID_SPEC when two tables have one destination (names that differ by case only count as one).
 */
export async function selectTables(
  pipeline: PipelineSpec,
  open: OpenConnector,
  ctx: CallContext,
): Promise<readonly SelectedTable[]> {
  const selected: SelectedTable[] = [];
  const named = new Set<string>();
  for (const object of pipeline.objects) {
    if (object.kind !== 'table') continue;
    const sourceTable = sourceName(object, open.connector);
    named.add(sourceTable);
    selected.push({object, sourceTable, flow: destinationName(object, sourceTable)});
  }
  for (const object of pipeline.objects) {
    if (object.kind !== 'schema') continue;
    for (const sourceTable of await tablesOfSchema(object, open.connector, ctx)) {
      if (named.has(sourceTable)) continue;
      const single = {...object, sourceTable: parseQualifiedName(sourceTable).at(-1) ?? sourceTable};
      selected.push({object: single, sourceTable, flow: destinationName(single, sourceTable)});
    }
  }
  checkDestinations(selected);
  return selected;
}

/** The connector's name for the table of an object: with its namespace where the connector has namespaces. */
export function sourceName(object: ObjectSpec, connector: Connector): string {
  const table = object.sourceTable ?? '';
  if (connector.listNamespaces === undefined || object.sourceSchema === null) return table;
  return qualifiedName([object.sourceSchema, table]);
}

async function tablesOfSchema(object: ObjectSpec, connector: Connector, ctx: CallContext): Promise<readonly string[]> {
  if (
    connector.listNamespaces === undefined ||
    connector.listTablesInNamespace === undefined ||
    object.sourceSchema === null
  ) {
    return connector.listTables(ctx);
  }
  const namespaces = (await connector.listNamespaces(null, ctx)).map((path) => path.join('.'));
  const {sourceSchema} = object;
  if (!namespaces.includes(sourceSchema)) {
    const close = didYouMean(sourceSchema, namespaces);
    throw new IngestError('UNKNOWN_TABLE', `${object.path}: the source has no schema "${sourceSchema}".`, {
      fix: close === null ? `It has ${namespaces.join(', ')}.` : `Did you mean "${close}"?`,
      context: {path: object.path},
    });
  }
  const tables = await connector.listTablesInNamespace([sourceSchema], ctx);
  return tables.map((table) => qualifiedName([sourceSchema, table]));
}

function checkDestinations(selected: readonly SelectedTable[]): void {
  const byName = new Map<string, SelectedTable>();
  for (const table of selected) {
    const key = table.flow.toLowerCase();
    const other = byName.get(key);
    if (other !== undefined) {
      throw new IngestError(
        'INVALID_SPEC',
        `${table.object.path} and ${other.object.path} both write ${table.flow} (from "${other.sourceTable}" and "${table.sourceTable}").`,
        {
          fix: 'Give one of them another destination_table.',
          context: {path: table.object.path},
        },
      );
    }
    byName.set(key, table);
  }
}

/** True when a table matches one of the globs (`*`, `?`) on its source or destination name; no globs select everything. */
export function matchesTable(
  table: {readonly sourceTable: string; readonly flow: string},
  globs: readonly string[],
): boolean {
  if (globs.length === 0) return true;
  const names = [
    table.sourceTable,
    table.flow,
    table.flow.split('.').at(-1) ?? table.flow,
    table.flow.split('.').slice(1).join('.'),
  ];
  return globs.some((glob) => names.some((name) => globToRegExp(glob).test(name)));
}

function globToRegExp(glob: string): RegExp {
  const escaped = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`, 'i');
}
