import {didYouMean} from '../../core/suggest.ts';
import {
  childOf,
  pathOfKey,
  problemError,
  type ConfigEntry,
  type ConfigNode,
  type Place,
  type Problem,
} from './config-node.ts';
import type {Environment} from './environment.ts';

/** What references can refer to. */
export interface Scope {
  /** The whole configuration, for `${bundle...}` and `${resources...}`. */
  readonly root: ConfigNode;
  readonly target: string | null;
  /** Value by variable; null for declared ones without any. */
  readonly variables: ReadonlyMap<string, ConfigNode | null>;
  readonly env: Environment;
  /** The path as the file has it, for messages. */
  readonly writtenPath: (path: string) => string;
}

/** `$${` stands for `${`, and `${...}` for a value. */
const TOKEN = /\$\$\{|\$\{([^}]*)\}/g;
const REFERENCE = /^[A-Za-z_][\w-]*(\.[\w-]+|\[\d+\])*$/;

/**
 * Replaces every `${...}` in a value. A text that is one whole reference takes the value with its type, mappings too.
 * @throws MISSING_SECRET naming the variable and the path; INVALID_SPEC for unknown or circular references.
 */
export function interpolate(node: ConfigNode, path: string, scope: Scope): ConfigNode {
  return new Interpolator(scope).value(node, path);
}

class Interpolator {
  private readonly scope: Scope;
  /** References being replaced, outermost first. */
  private readonly active: string[] = [];

  constructor(scope: Scope) {
    this.scope = scope;
  }

  value(node: ConfigNode, path: string): ConfigNode {
    if (node.kind === 'list')
      return {...node, items: node.items.map((item, index) => this.value(item, `${path}[${index}]`))};
    if (node.kind === 'map') {
      const entries = [...node.entries].map(([key, entry]): [string, ConfigEntry] => [
        key,
        {...entry, node: this.value(entry.node, pathOfKey(path, key))},
      ]);
      return {...node, entries: new Map(entries)};
    }
    // Text from outside is taken as it is: a password may hold `${`.
    if (typeof node.value !== 'string' || node.fromText === true || !node.value.includes('${')) return node;
    return this.text(node.value, {path, place: node.place});
  }

  private text(text: string, at: At): ConfigNode {
    const whole = /^\$\{([^}]*)\}$/.exec(text.trim())?.[1];
    if (whole !== undefined && REFERENCE.test(whole)) return this.resolve(whole, at);
    const value = text.replace(TOKEN, (token: string, reference: string | undefined) => {
      if (reference === undefined) return '${';
      if (!REFERENCE.test(reference)) return token;
      const found = this.resolve(reference, at);
      if (found.kind === 'scalar' && found.value !== null) return String(found.value);
      throw this.problem(at, {
        message: `\${${reference}} is no single value, so it cannot stand within a text`,
        fix: 'Let the reference be the whole value.',
      });
    });
    return {kind: 'scalar', value, place: at.place, fromText: true};
  }

  private resolve(reference: string, at: At): ConfigNode {
    if (this.active.includes(reference)) {
      throw this.problem(at, {
        message: `\${${reference}} refers to itself: ${[...this.active, reference].join(' -> ')}`,
        fix: 'Break the circle.',
      });
    }
    this.active.push(reference);
    const found = this.value(this.find(reference, at), at.path);
    this.active.pop();
    // The place of use, so that a wrong value is reported where it matters.
    return {...found, place: at.place};
  }

  private find(reference: string, at: At): ConfigNode {
    const steps = reference.split(/[.[\]]+/).filter((step) => step !== '');
    const [kind = '', name = ''] = steps;
    if (kind === 'env') return this.environmentVariable(reference.slice('env.'.length), at);
    if (kind === 'var') return this.variable(steps.slice(1), at);
    if (kind === 'bundle' && (name === 'target' || name === 'environment')) {
      if (this.scope.target !== null) return {kind: 'scalar', value: this.scope.target, place: at.place};
      throw this.problem(at, {
        message: `\${${reference}} has no value: the bundle has no target`,
        fix: 'Declare targets, or name one with --target.',
      });
    }
    if (kind === 'bundle' || kind === 'resources') return this.configured(steps, reference, at);
    throw this.problem(at, {
      message: `\${${reference}} is unknown`,
      fix: 'Known are ${var.NAME}, ${env.NAME}, ${bundle.target}, ${bundle.name} and ${resources.KIND.KEY.FIELD}; write $${ for a literal ${.',
    });
  }

  private environmentVariable(name: string, at: At): ConfigNode {
    const value = Object.hasOwn(this.scope.env, name) ? this.scope.env[name] : undefined;
    if (value !== undefined && value !== '') return {kind: 'scalar', value, place: at.place, fromText: true};
    const state = value === undefined ? 'is not set' : 'is empty';
    throw this.problem(at, {
      code: 'MISSING_SECRET',
      message: `the environment variable ${name} ${state}`,
      fix: `Set ${name} before starting sluice.`,
    });
  }

  private variable(steps: readonly string[], at: At): ConfigNode {
    const [name = '', ...inner] = steps;
    const value = this.scope.variables.get(name);
    if (value === undefined) {
      const suggestion = didYouMean(name, [...this.scope.variables.keys()]);
      throw this.problem(at, {
        message: `the variable "${name}" is not declared`,
        fix: suggestion === null ? `Declare it under variables.${name}.` : `Did you mean "${suggestion}"?`,
      });
    }
    if (value === null) {
      throw this.problem(at, {
        code: 'MISSING_SECRET',
        message: `the variable "${name}" has no value`,
        fix: `Pass --var ${name}=VALUE, set BUNDLE_VAR_${name}, or give variables.${name}.default.`,
      });
    }
    return this.descend(value, inner, `var.${steps.join('.')}`, at);
  }

  private configured(steps: readonly string[], reference: string, at: At): ConfigNode {
    const last = steps.at(-1);
    const parent = steps.slice(0, -1).reduce<ConfigNode | undefined>(childOf, this.scope.root);
    // A resource without a name is called by its key.
    const isNameless =
      steps.length === 4 && last === 'name' && parent !== undefined && childOf(parent, 'name') === undefined;
    if (isNameless) return {kind: 'scalar', value: steps[2] ?? '', place: at.place};
    // A gateway is referred to by id; here that is its key.
    if (last === 'id' && steps.length === 4 && steps[1] === 'pipelines' && parent !== undefined)
      return {kind: 'scalar', value: steps[2] ?? '', place: at.place};
    if (last === 'id')
      throw this.problem(at, {
        code: 'UNSUPPORTED',
        message: `\${${reference}}: resources of Sluice have no id`,
        fix: 'Refer to the name.',
      });
    return this.descend(this.scope.root, steps, reference, at);
  }

  private problem(at: At, what: What): Error {
    return problemError({
      code: what.code ?? 'INVALID_SPEC',
      path: this.scope.writtenPath(at.path),
      place: at.place,
      message: what.message,
      fix: what.fix,
    });
  }

  private descend(start: ConfigNode, steps: readonly string[], reference: string, at: At): ConfigNode {
    let node: ConfigNode | undefined = start;
    for (const step of steps) node = node?.kind === 'list' ? node.items[Number(step)] : childOf(node, step);
    if (node !== undefined) return node;
    throw this.problem(at, {message: `\${${reference}} refers to nothing`, fix: 'Correct the reference.'});
  }
}

interface At {
  readonly path: string;
  readonly place: Place;
}

type What = Pick<Problem, 'message'> & {readonly code?: Problem['code']; readonly fix: string};
