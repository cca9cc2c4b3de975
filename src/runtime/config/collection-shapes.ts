import {pathOfKey} from './config-node.ts';
import {INVALID, isNothing, isReference, orNothing, orReference, report, wrong, type Shape} from './shape.ts';

/** A list of values, at least `minItems` of them. */
export function list<T>(
  item: Shape<T>,
  expected: string,
  limits: {
    readonly minItems?: number;
    readonly maxItems?: number;
    readonly unique?: boolean;
    readonly description?: string;
  } = {},
): Shape<readonly T[]> {
  const {minItems = 0, maxItems = Infinity, unique = false} = limits;
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      if (node.kind !== 'list') return wrong(node, path, context, {expected});
      if (node.items.length < minItems) return wrong(node, path, context, {expected, shown: 'an empty list'});
      if (node.items.length > maxItems)
        return wrong(node, path, context, {expected, shown: `${node.items.length} entries`});
      const values: T[] = [];
      for (const [index, inner] of node.items.entries()) {
        const value = item.read(inner, `${path}[${index}]`, context);
        if (value !== INVALID) values.push(value);
      }
      if (values.length < node.items.length) return INVALID;
      const repeated = unique ? values.findIndex((value, index) => values.indexOf(value) !== index) : -1;
      const culprit = node.items[repeated];
      if (culprit !== undefined)
        return report(culprit, `${path}[${repeated}]`, context, {
          code: 'INVALID_SPEC',
          message: 'the same entry stands in the list twice',
          fix: 'Remove one.',
        });
      return values;
    },
    describe: (definitions) =>
      orReference(definitions, {
        type: 'array',
        items: item.describe(definitions),
        ...(minItems > 0 ? {minItems} : {}),
        ...(maxItems < Infinity ? {maxItems} : {}),
        ...(unique ? {uniqueItems: true} : {}),
        ...(limits.description === undefined ? {} : {description: limits.description}),
      }),
  };
}

/** A mapping with free keys; keys whose value is nothing are left out. */
export function record<T>(item: Shape<T>, expected: string, description = ''): Shape<ReadonlyMap<string, T>> {
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      if (node.kind !== 'map') return wrong(node, path, context, {expected});
      const values = new Map<string, T>();
      let valid = true;
      for (const [key, entry] of node.entries) {
        if (isNothing(entry.node)) continue;
        const value = item.read(entry.node, pathOfKey(path, key), context);
        if (value === INVALID) valid = false;
        else values.set(key, value);
      }
      return valid ? values : INVALID;
    },
    describe: (definitions) =>
      orReference(definitions, {
        type: 'object',
        additionalProperties: orNothing(item.describe(definitions)),
        ...(description === '' ? {} : {description}),
      }),
  };
}
