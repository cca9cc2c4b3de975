import type {OptionValue} from '../../sdk/contract.ts';
import {list, record} from './collection-shapes.ts';
import {pathOfKey} from './config-node.ts';
import {scalar} from './scalar-shapes.ts';
import {INVALID, isReference, orReference, wrong, type Shape} from './shape.ts';
import {required, struct} from './struct-shape.ts';

/** Options of a connection or table by name. */
export type OptionMap = ReadonlyMap<string, OptionValue>;

/** Lakeflow's place for the options of a community connector. */
export const COMMUNITY_OPTIONS = 'community_connector_options';

const optionScalar: Shape<OptionValue> = scalar(
  {type: ['string', 'number', 'boolean']},
  'text, a number, true, false or a list of strings',
  (value) => value ?? undefined,
);
const optionTexts = list(
  scalar({type: 'string'}, 'text', (value) => (typeof value === 'string' ? value : undefined)),
  'a list of strings',
);

/** The value of an option. */
export const optionValueShape: Shape<OptionValue> = {
  read: (node, path, context) => (node.kind === 'list' ? optionTexts : optionScalar).read(node, path, context),
  describe: (definitions) =>
    orReference(definitions, {type: ['string', 'number', 'boolean']}, {type: 'array', items: {type: 'string'}}),
};

/** Options by name. */
export const optionMapShape: Shape<OptionMap> = record(optionValueShape, 'a mapping of option names to values');

const communityOptionsShape: Shape<{readonly options: OptionMap}> = struct(
  {options: required(optionMapShape)},
  {name: COMMUNITY_OPTIONS},
);

/** `connector_options`: options by connector, or under `community_connector_options.options`. */
export const connectorOptionsShape: Shape<ReadonlyMap<string, OptionMap>> = {
  read(node, path, context) {
    if (isReference(node, context)) return INVALID;
    if (node.kind !== 'map') return wrong(node, path, context, {expected: 'a mapping'});
    const groups = new Map<string, OptionMap>();
    let valid = true;
    for (const [key, entry] of node.entries) {
      const groupPath = pathOfKey(path, key);
      const options =
        key === COMMUNITY_OPTIONS
          ? unwrapped(communityOptionsShape.read(entry.node, groupPath, context))
          : optionMapShape.read(entry.node, groupPath, context);
      if (options === INVALID) valid = false;
      else groups.set(key, options);
    }
    return valid ? groups : INVALID;
  },
  describe(definitions) {
    return orReference(definitions, {
      type: 'object',
      properties: {[COMMUNITY_OPTIONS]: communityOptionsShape.describe(definitions)},
      additionalProperties: optionMapShape.describe(definitions),
      description: "Options of the source table, under the connector's name.",
    });
  },
};

function unwrapped(value: {readonly options: OptionMap} | typeof INVALID): OptionMap | typeof INVALID {
  return value === INVALID ? INVALID : value.options;
}
