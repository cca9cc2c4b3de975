import type {OptionValue} from '../../sdk/contract.ts';
import {pathOfKey, plainValue, type ConfigNode} from './config-node.ts';
import {optionValueShape, type OptionMap} from './option-shapes.ts';
import {INVALID, isNothing, isReference, literal, orReference, wrong, type Shape} from './shape.ts';
import {optional, struct} from './struct-shape.ts';
import {
  clusteringShape,
  columnList,
  eitherColumns,
  oneOfEach,
  refusedSettings,
  settingFields,
  type TableConfigurationText,
} from './table-settings.ts';

/** `table_configuration` of the community form, taken apart. */
export interface CommunityConfiguration {
  readonly settings: TableConfigurationText;
  /** Every key that is no setting is an option of the source. */
  readonly options: OptionMap;
}

const DEFINITION = 'community_table_configuration';

const fields = {
  ...settingFields({columns: (description) => columnTexts(description, false), numbersAsText: true}),
  clustering_columns: optional(clusteringShape((description) => columnTexts(description, true))),
  cluster_by: optional(clusteringShape((description) => columnTexts(description, true))),
  ...refusedSettings,
};

const settingsShape = struct(fields, {rules: [eitherColumns, oneOfEach]});

/** `table_configuration` of `pipeline_spec`: settings and source options side by side. */
export const communityConfigurationShape: Shape<CommunityConfiguration> = {
  read(node, path, context) {
    if (isReference(node, context)) return INVALID;
    if (node.kind !== 'map') return wrong(node, path, context, {expected: 'a mapping'});
    const known = [...node.entries].filter(([key]) => Object.hasOwn(fields, key));
    const others = [...node.entries].filter(([key]) => !Object.hasOwn(fields, key));
    const settings = settingsShape.read({...node, entries: new Map(known)}, path, context);
    const options = new Map<string, OptionValue>();
    let valid = true;
    for (const [key, {node: option}] of others) {
      if (isNothing(option)) continue;
      const value = optionValueShape.read(flattened(option), pathOfKey(path, key), context);
      if (value === INVALID) valid = false;
      else options.set(key, value);
    }
    if (settings === INVALID || !valid) return INVALID;
    const {cluster_by: clusterBy, ...rest} = settings;
    return {settings: {...rest, clustering_columns: rest.clustering_columns ?? clusterBy}, options};
  },
  describe(definitions) {
    const schema = literal(settingsShape).describe(definitions);
    definitions.set(DEFINITION, {...schema, additionalProperties: {description: 'An option of the source.'}});
    return orReference(definitions, {$ref: `#/$defs/${DEFINITION}`});
  },
};

/** In the community form a mapping, or a list of something else than text, is the JSON text of itself. */
function flattened(node: ConfigNode): ConfigNode {
  const isTextList =
    node.kind === 'list' && node.items.every((item) => item.kind === 'scalar' && typeof item.value === 'string');
  if (node.kind === 'scalar' || isTextList) return node;
  return {kind: 'scalar', value: JSON.stringify(plainValue(node)), place: node.place};
}

/** Column names as the community form writes them: a list, a JSON list as text, one name, and with `commas` several. */
function columnTexts(description: string, commas: boolean): Shape<readonly string[]> {
  const names = columnList(description);
  const filled = {type: 'string', pattern: '\\S'};
  return {
    read(node, path, context) {
      if (node.kind !== 'scalar' || typeof node.value !== 'string' || isReference(node, context))
        return names.read(node, path, context);
      const parts = namesOf(node.value.trim(), commas);
      if (parts === null)
        return wrong(node, path, context, {expected: 'a list of strings', shown: 'text that is no JSON list'});
      const {place} = node;
      const items = parts.map((value): ConfigNode => ({kind: 'scalar', value, place}));
      return names.read({kind: 'list', items, place}, path, context);
    },
    describe: (definitions) => ({
      ...orReference(definitions, {type: 'array', items: filled, uniqueItems: true}, filled),
      description,
    }),
  };
}

function namesOf(value: string, commas: boolean): readonly string[] | null {
  if (value.startsWith('[')) {
    try {
      const parsed: unknown = JSON.parse(value);
      return Array.isArray(parsed) && parsed.every((item) => typeof item === 'string') ? parsed : null;
    } catch {
      // Not JSON: the caller says so with path and place.
      return null;
    }
  }
  if (!commas) return [value];
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
