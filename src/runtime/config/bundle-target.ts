import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import {childOf, problemError, scalarOf, type ConfigMap, type ConfigNode} from './config-node.ts';
import {bundleVariables, type Environment} from './environment.ts';
import {mergeNodes} from './merge.ts';

/** A target of a bundle. */
export interface Target {
  readonly name: string;
  readonly node: ConfigNode;
}

/**
 * The target that is named, else the one marked as default, else the only one; null when there is none.
 * @throws INVALID_SPEC when the named one is not there, or several are marked.
 */
export function chooseTarget(root: ConfigMap, wanted: string | undefined): Target | null {
  const node = childOf(root, 'targets');
  const targets =
    node?.kind === 'map' ? [...node.entries].map(([name, entry]): Target => ({name, node: entry.node})) : [];
  if (wanted !== undefined) {
    const chosen = targets.find((target) => target.name === wanted);
    if (chosen !== undefined) return chosen;
    const names = targets.map((target) => target.name);
    const suggestion = didYouMean(wanted, names);
    const fix = suggestion === null ? `It has: ${names.join(', ') || 'none'}.` : `Did you mean "${suggestion}"?`;
    throw problemError({
      code: 'INVALID_SPEC',
      path: 'targets',
      place: (node ?? root).place,
      message: `there is no target "${wanted}"`,
      fix,
    });
  }
  const defaults = targets.filter((target) => scalarOf(childOf(target.node, 'default')) === true);
  if (defaults.length > 1) {
    throw problemError({
      code: 'INVALID_SPEC',
      path: 'targets',
      place: (node ?? root).place,
      message: `more than one is the default: ${defaults.map((target) => target.name).join(', ')}`,
      fix: 'Mark one.',
    });
  }
  const [first, ...others] = targets;
  return defaults[0] ?? (first !== undefined && others.length === 0 ? first : null);
}

/** The configuration with the target's resources, variables, lake and bundle laid over it. */
export function withTarget(root: ConfigMap, target: Target | null): ConfigMap {
  const entries = new Map([...root.entries].filter(([key]) => key !== 'targets'));
  for (const key of ['resources', 'lake', 'lake_options', 'bundle']) {
    const over = childOf(target?.node, key);
    const base = entries.get(key);
    if (over !== undefined)
      entries.set(key, {keyPlace: over.place, node: base === undefined ? over : mergeNodes(base.node, over, key)});
  }
  const overrides = childOf(target?.node, 'variables');
  if (overrides?.kind === 'map') {
    const base = childOf(root, 'variables');
    const merged = new Map(base?.kind === 'map' ? base.entries : []);
    // A target may write the value alone; either way it replaces the default whole, mappings too.
    for (const [name, entry] of overrides.entries) {
      const value = childOf(entry.node, 'default') ?? entry.node;
      merged.set(name, {
        ...entry,
        node: {
          kind: 'map',
          place: entry.node.place,
          entries: new Map([['default', {node: value, keyPlace: entry.keyPlace}]]),
        },
      });
    }
    entries.set('variables', {keyPlace: overrides.place, node: {kind: 'map', place: overrides.place, entries: merged}});
  }
  return {...root, entries};
}

/** Values by `--var`, then the environment, then the declaration. */
export function variableValues(
  root: ConfigMap,
  given: {readonly variables: Readonly<Record<string, string>>; readonly env: Environment},
): ReadonlyMap<string, ConfigNode | null> {
  const declared = childOf(root, 'variables');
  const fromEnvironment = bundleVariables(given.env);
  const values = new Map<string, ConfigNode | null>();
  for (const [name, entry] of declared?.kind === 'map' ? declared.entries : []) {
    const value =
      (Object.hasOwn(given.variables, name) ? given.variables[name] : undefined) ?? fromEnvironment.get(name);
    const text: ConfigNode | undefined =
      value === undefined ? undefined : {kind: 'scalar', value, place: entry.keyPlace, fromText: true};
    values.set(name, text ?? childOf(entry.node, 'default') ?? null);
  }
  for (const name of Object.keys(given.variables)) {
    if (values.has(name)) continue;
    const suggestion = didYouMean(name, [...values.keys()]);
    throw new IngestError('INVALID_SPEC', `--var ${name}: the variable is not declared.`, {
      fix: suggestion === null ? `Declare it under variables.${name}.` : `Did you mean "${suggestion}"?`,
      context: {path: `variables.${name}`},
    });
  }
  return values;
}
