import {
  describeNode,
  pathOfKey,
  problemError,
  type ConfigEntry,
  type ConfigMap,
  type ConfigNode,
} from './config-node.ts';

/**
 * Lays `over` upon `base` as the official bundles do: mappings key by key, lists one after the other, other values
 * replaced; nothing gives way to something.
 * @throws INVALID_SPEC when one is a mapping or list and the other is not.
 */
export function mergeNodes(base: ConfigNode, over: ConfigNode, path: string): ConfigNode {
  if (isNothing(base)) return over;
  if (isNothing(over)) return base;
  if (base.kind === 'map' && over.kind === 'map') return mergeMaps(base, over, path);
  if (base.kind === 'list' && over.kind === 'list') return {...base, items: [...base.items, ...over.items]};
  if (base.kind === over.kind) return over;
  throw problemError({
    code: 'INVALID_SPEC',
    path,
    place: over.place,
    message: `${describeNode(over)} cannot be merged with ${describeNode(base)}`,
    fix: `Make it ${describeNode(base)} in both places.`,
  });
}

function mergeMaps(base: ConfigMap, over: ConfigMap, path: string): ConfigMap {
  const entries = new Map<string, ConfigEntry>(base.entries);
  for (const [key, entry] of over.entries) {
    const below = entries.get(key);
    entries.set(
      key,
      below === undefined
        ? entry
        : {keyPlace: entry.keyPlace, node: mergeNodes(below.node, entry.node, pathOfKey(path, key))},
    );
  }
  return {...base, entries};
}

function isNothing(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}
