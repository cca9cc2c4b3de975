import type {StructField, StructType} from '../core/types.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Metadata of a landed column whose name is not the source's: the name in the source. */
export const SOURCE_NAME = 'sluice.sourceName';

/** The name that a column of the source has in the destination. */
export function landedName({columnNames}: Pick<ResolvedFlow, 'columnNames'>, source: string): string {
  return Object.hasOwn(columnNames, source) ? (columnNames[source] ?? source) : source;
}

/** The name that a column of the destination has in the source. */
export function sourceName({columnNames}: Pick<ResolvedFlow, 'columnNames'>, landed: string): string {
  return Object.entries(columnNames).find(([, name]) => name === landed)?.[0] ?? landed;
}

/** The name in the source that a column of a table remembers; its own name where it remembers none. */
export function rememberedName(field: StructField): string {
  const name = field.metadata[SOURCE_NAME];
  return typeof name === 'string' ? name : field.name;
}

/** A column under its landed name; where that is not the source's, it remembers the source's. */
export function namedField(field: StructField, landed: string, source: string): StructField {
  const {[SOURCE_NAME]: _, ...metadata} = field.metadata;
  return {...field, name: landed, metadata: landed === source ? metadata : {...metadata, [SOURCE_NAME]: source}};
}

/** Which column of a table each column of the source is. */
export interface NamedColumns {
  /** Landed name by source name, in the order of the source; all of them. */
  readonly names: ReadonlyMap<string, string>;
  /** Columns of the source whose landed name was made up, because another column differs by case only. */
  readonly apart: readonly string[];
}

/**
 * Finds the landed names of a source's columns. A column of the table is, in this order: the one that remembers the name,
 * the one of that name, the one whose name differs by case only and whose own column the source no longer has. Names of
 * new columns that differ by case only from another one get a number: `name_2`.
 * @param options `taken`: names that technical columns have; `others`: columns of the source that are not selected;
 * `renamed`: what a column was called in the table, by its name now.
 */
export function landedNames(
  source: readonly string[],
  table: StructType | null,
  options: {
    readonly taken: readonly string[];
    readonly others: readonly string[];
    readonly renamed: ReadonlyMap<string, string>;
  },
): NamedColumns {
  const technical = new Set(options.taken.map(fold));
  const columns = (table?.fields ?? []).filter((field) => !technical.has(fold(field.name)));
  const names = new Map<string, string>();
  const claimed = new Set<string>();
  const claim = (name: string, field: StructField | undefined): void => {
    if (field === undefined || names.has(name) || claimed.has(field.name)) return;
    names.set(name, field.name);
    claimed.add(field.name);
  };
  const inSource = new Set([...source, ...options.others]);
  for (const name of source)
    claim(
      name,
      columns.find((field) => field.metadata[SOURCE_NAME] === name),
    );
  for (const name of source)
    claim(
      name,
      columns.find((field) => field.name === name && !isAnothers(field, name, inSource)),
    );
  for (const [name, old] of options.renamed)
    if (source.includes(name) && !inSource.has(old))
      claim(
        name,
        columns.find((field) => field.name === old || rememberedName(field) === old),
      );
  for (const name of source)
    claim(
      name,
      columns.find((field) => fold(field.name) === fold(name) && !isAnothers(field, name, inSource)),
    );
  const used = new Set([...technical, ...columns.map((field) => fold(field.name))]);
  const apart: string[] = [];
  const ordered = new Map<string, string>();
  for (const name of source) {
    const known = names.get(name);
    const landed = known ?? freeName(name, used, inSource);
    if (known === undefined && landed !== name) apart.push(name);
    used.add(fold(landed));
    ordered.set(name, landed);
  }
  return {names: ordered, apart};
}

/** True when a column belongs to another column of the source that is still there. */
function isAnothers(field: StructField, name: string, inSource: ReadonlySet<string>): boolean {
  const remembered = rememberedName(field);
  return remembered !== name && inSource.has(remembered);
}

function freeName(name: string, used: ReadonlySet<string>, inSource: ReadonlySet<string>): string {
  if (!used.has(fold(name))) return name;
  const others = new Set([...inSource].map(fold));
  for (let number = 2; ; number++) {
    const candidate = `${name}_${number}`;
    if (!used.has(fold(candidate)) && !others.has(fold(candidate))) return candidate;
  }
}

function fold(name: string): string {
  return name.toLowerCase();
}
