import {resolve} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {ConnectionSpec, PipelineSpec} from '../../pipeline/spec.ts';
import type {StoreOptions} from '../../storage/store-options.ts';
import {bundleShape, connectionShape, IGNORED_PIPELINE_KEYS, isIngestion, pipelineShape} from './bundle-shapes.ts';
import {chooseTarget, variableValues, withTarget} from './bundle-target.ts';
import {
  childOf,
  pathOfKey,
  problemError,
  scalarOf,
  throwProblems,
  type ConfigMap,
  type ConfigNode,
  type Problem,
} from './config-node.ts';
import type {Environment} from './environment.ts';
import {interpolate, type Scope} from './interpolate.ts';
import {inFolder, lakeOptionsShape} from './lake-shapes.ts';
import {findFile, loadData, loadFile, type LoadedFile} from './load-bundle.ts';
import {destinationOf, resolvePipeline} from './resolve-pipeline.ts';
import {INVALID, type Shape} from './shape.ts';

/** What to load, and with what. */
export interface LoadRequest {
  /** Default: the first of `sluice.yml`, `databricks.yml` in `cwd`. */
  readonly file?: string | undefined;
  /** What a file would say, as plain data; `file` is ignored then. */
  readonly data?: object | undefined;
  /** Key or name of one pipeline; default: all. */
  readonly pipeline?: string | undefined;
  /** Default: the one marked as default, or the only one. */
  readonly target?: string | undefined;
  /** Values of `--var`. */
  readonly variables: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly env: Environment;
}

/** What a configuration file says, resolved. */
export interface LoadedPipelines {
  readonly pipelines: readonly PipelineSpec[];
  /** `lake:` as an absolute path or URL; null when the file does not say it. */
  readonly lake: string | null;
  /** `lake_options:`; empty when the file does not say them. */
  readonly storeOptions: StoreOptions;
  readonly file: string;
  /** Settings that were accepted and do nothing, in sentences. */
  readonly warnings: readonly string[];
}

/**
 * Loads a bundle, or a file with one pipeline, and resolves it; nothing is written and no source is asked. Secrets are
 * read only for the connections of the pipelines asked for.
 * @throws INVALID_SPEC, UNSUPPORTED, MISSING_SECRET, INVALID_PREDICATE with path, file, line and column.
 */
export async function loadPipelines(request: LoadRequest): Promise<LoadedPipelines> {
  const {data, file, cwd} = request;
  const loaded = data === undefined ? await loadFile(file, cwd) : await loadData(data, cwd);
  const bundle = new Bundle(loaded, request);
  const pipelines = bundle.pipelines(request.pipeline);
  return {pipelines, ...bundle.lake(), file: loaded.file, warnings: bundle.warnings()};
}

/** What a configuration says of the lake. */
export type LoadedLake = Pick<LoadedPipelines, 'lake' | 'storeOptions'>;

/**
 * The lake that the configuration says; nothing when there is no configuration.
 * @throws INVALID_SPEC when there is one and it is malformed; MISSING_SECRET for its options.
 */
export async function loadLake(request: Omit<LoadRequest, 'pipeline' | 'data'>): Promise<LoadedLake> {
  if (request.file === undefined && (await findFile(request.cwd)) === null) return {lake: null, storeOptions: {}};
  return new Bundle(await loadFile(request.file, request.cwd), request).lake();
}

/** A loaded file with a target's overrides and values for its variables. */
class Bundle {
  private readonly loaded: LoadedFile;
  private readonly root: ConfigMap;
  private readonly scope: Scope;
  private readonly found: Problem[] = [];

  constructor(loaded: LoadedFile, request: LoadRequest) {
    this.loaded = loaded;
    // Before a target's overrides are laid over them, the target itself must read well.
    this.check(bundleShape, loaded.root, true);
    const target = chooseTarget(loaded.root, request.target);
    this.root = withTarget(loaded.root, target);
    if (target !== null) this.check(bundleShape, this.root, true);
    const variables = variableValues(this.root, request);
    this.scope = {
      root: this.root,
      target: target?.name ?? null,
      variables,
      env: request.env,
      writtenPath: loaded.writtenPath,
    };
  }

  lake(): LoadedLake {
    return {lake: this.lakeRoot(), storeOptions: this.storeOptions()};
  }

  private storeOptions(): StoreOptions {
    const node = childOf(this.root, 'lake_options');
    if (node === undefined) return {};
    const options = this.read(lakeOptionsShape, interpolate(node, 'lake_options', this.scope), 'lake_options');
    return inFolder(options, this.loaded.folder);
  }

  private lakeRoot(): string | null {
    const node = childOf(this.root, 'lake');
    if (node === undefined) return null;
    const value = interpolate(node, 'lake', this.scope);
    if (value.kind !== 'scalar' || typeof value.value !== 'string' || value.value.trim() === '') return null;
    return /^[a-z][a-z0-9+.-]*:\/\//i.test(value.value) ? value.value : resolve(this.loaded.folder, value.value);
  }

  warnings(): readonly string[] {
    const lines = this.found.map(
      (warning) => `${warning.place.file}: ${this.loaded.writtenPath(warning.path)} ${warning.message}`,
    );
    return [...new Set(lines)];
  }

  pipelines(wanted: string | undefined): readonly PipelineSpec[] {
    const all = childOf(childOf(this.root, 'resources'), 'pipelines');
    const entries = all?.kind === 'map' ? [...all.entries].map(([key, entry]) => ({key, node: entry.node})) : [];
    if (wanted !== undefined) return [this.pipeline(this.choose(entries, wanted))];
    const ours = entries.filter((entry) => isIngestion(entry.node));
    if (ours.length === 0) {
      throw problemError({
        code: 'INVALID_SPEC',
        path: 'resources.pipelines',
        place: (all ?? this.root).place,
        message: 'there is no ingestion pipeline',
        fix: 'Add a pipeline with an ingestion_definition.',
      });
    }
    const specs = ours.map((entry) => this.pipeline(entry));
    this.checkSharedDestinations(specs);
    return specs;
  }

  private choose(entries: readonly PipelineEntry[], wanted: string): PipelineEntry {
    const nameOf = (entry: PipelineEntry): unknown => {
      const name = childOf(entry.node, 'name');
      return name === undefined
        ? entry.key
        : scalarOf(interpolate(name, `${pipelinePath(entry.key)}.name`, this.scope));
    };
    const chosen = entries.find((entry) => entry.key === wanted) ?? entries.find((entry) => nameOf(entry) === wanted);
    if (chosen === undefined) {
      const keys = entries.map((entry) => entry.key);
      const suggestion = didYouMean(wanted, keys);
      const fix = suggestion === null ? `It has: ${keys.join(', ') || 'none'}.` : `Did you mean "${suggestion}"?`;
      throw new IngestError('INVALID_SPEC', `${this.loaded.file} has no pipeline "${wanted}".`, {
        fix,
        context: {path: 'resources.pipelines', at: this.loaded.file},
      });
    }
    if (isIngestion(chosen.node)) return chosen;
    throw problemError({
      code: 'UNSUPPORTED',
      path: pipelinePath(chosen.key),
      place: chosen.node.place,
      message: 'this is no ingestion pipeline',
      fix: 'Choose one with an ingestion_definition or pipeline_spec.',
    });
  }

  private pipeline(entry: PipelineEntry): PipelineSpec {
    const path = pipelinePath(entry.key);
    const node = interpolate(withoutIgnored(entry.node), path, this.scope);
    const text = this.read(pipelineShape, node, path);
    const door = text.ingestion_definition === undefined ? 'pipeline_spec' : 'ingestion_definition';
    const definition = text.ingestion_definition ?? text.pipeline_spec;
    // The shape lets only pipelines through that have one of the two.
    if (definition === undefined)
      throw new IngestError('INVALID_SPEC', `${path}: there is no definition`, {fix: 'Add an ingestion_definition.'});
    const definitionPath = `${path}.${door}`;
    const connection = this.connection(
      definition.connection_name,
      definitionPath,
      childOf(childOf(node, door), 'connection_name') ?? node,
    );
    const problems: Problem[] = [];
    const spec = resolvePipeline({
      key: entry.key,
      text,
      definition,
      connection,
      report: (inner, problem) => {
        const isHome = !inner.startsWith('objects');
        const full = isHome ? `${path}.${inner}` : `${definitionPath}.${inner}`;
        problems.push({
          ...problem,
          path: full,
          place: nodeAt(isHome ? node : childOf(node, door), inner)?.place ?? node.place,
        });
      },
    });
    this.throw(problems);
    return spec;
  }

  private connection(name: string, definitionPath: string, at: ConfigNode): ConnectionSpec {
    const all = childOf(childOf(this.root, 'resources'), 'connections');
    const known = new Map<string, {readonly key: string; readonly node: ConfigNode}>();
    for (const [key, entry] of all?.kind === 'map' ? all.entries : []) {
      const written = childOf(entry.node, 'name');
      const value =
        written === undefined ? key : scalarOf(interpolate(written, `${connectionPath(key)}.name`, this.scope));
      const other = known.get(String(value));
      if (other !== undefined) {
        throw problemError({
          code: 'INVALID_SPEC',
          path: this.loaded.writtenPath(connectionPath(key)),
          place: entry.keyPlace,
          message: `its name "${String(value)}" is that of ${other.key}`,
          fix: 'Rename one of them.',
        });
      }
      known.set(String(value), {key, node: entry.node});
    }
    const found = known.get(name);
    if (found === undefined) throw this.unknownConnection(name, [...known.keys()], {definitionPath, at});
    const path = connectionPath(found.key);
    const text = this.read(connectionShape, interpolate(found.node, path, this.scope), path);
    return {name, connector: text.connection_type.toLowerCase(), options: Object.fromEntries(text.options ?? [])};
  }

  private unknownConnection(
    name: string,
    known: readonly string[],
    where: {readonly definitionPath: string; readonly at: ConfigNode},
  ): IngestError {
    const suggestion = didYouMean(name, known);
    const section = this.loaded.writtenPath('resources.connections');
    const fix =
      suggestion !== null
        ? `Did you mean "${suggestion}"?`
        : known.length > 0
          ? `Known: ${known.join(', ')}.`
          : `Add it: ${section}.${name} with connection_type and options.`;
    const path = this.loaded.writtenPath(`${where.definitionPath}.connection_name`);
    return problemError({
      code: 'INVALID_SPEC',
      path,
      place: where.at.place,
      message: `there is no connection "${name}" under ${section}`,
      fix,
    });
  }

  private checkSharedDestinations(specs: readonly PipelineSpec[]): void {
    const taken = new Map<string, string>();
    for (const spec of specs) {
      const names = [...spec.objects.map(destinationOf), `${spec.catalog}.${spec.schema}.${spec.eventLogTable}`];
      for (const name of names) {
        if (name === null) continue;
        const other = taken.get(name.toLowerCase());
        if (other !== undefined && other !== spec.key) {
          throw new IngestError('INVALID_SPEC', `The pipelines "${other}" and "${spec.key}" both write ${name}.`, {
            fix: 'A table belongs to one pipeline; give one of them another destination.',
            context: {path: pipelinePath(spec.key), at: this.loaded.file},
          });
        }
        taken.set(name.toLowerCase(), spec.key);
      }
    }
  }

  /** Looks at a value before its references are replaced. */
  private check(shape: Shape<unknown>, node: ConfigNode, allowReferences: boolean): void {
    const problems: Problem[] = [];
    this.found.length = 0;
    shape.read(node, '', {problems, warnings: this.found, allowReferences});
    this.throw(problems);
  }

  private read<T>(shape: Shape<T>, node: ConfigNode, path: string): T {
    const problems: Problem[] = [];
    const value = shape.read(node, path, {problems, warnings: [], allowReferences: false});
    this.throw(problems);
    if (value === INVALID) throw new IngestError('INVALID_SPEC', `${path} cannot be read.`, {class: 'bug'});
    return value;
  }

  private throw(problems: readonly Problem[]): void {
    throwProblems(problems.map((problem) => ({...problem, path: this.loaded.writtenPath(problem.path)})));
  }
}

interface PipelineEntry {
  readonly key: string;
  readonly node: ConfigNode;
}

function pipelinePath(key: string): string {
  return pathOfKey('resources.pipelines', key);
}

function connectionPath(key: string): string {
  return pathOfKey('resources.connections', key);
}

/** The pipeline without what does nothing: references in there need no value. */
function withoutIgnored(node: ConfigNode): ConfigNode {
  if (node.kind !== 'map') return node;
  return {...node, entries: new Map([...node.entries].filter(([key]) => !IGNORED_PIPELINE_KEYS.includes(key)))};
}

/** The deepest value on a path that is there. */
function nodeAt(start: ConfigNode | undefined, path: string): ConfigNode | undefined {
  let node = start;
  for (const step of path.matchAll(/\["([^"]+)"\]|\[(\d+)\]|([^.[\]]+)/g)) {
    const next =
      step[2] !== undefined && node?.kind === 'list'
        ? node.items[Number(step[2])]
        : childOf(node, step[1] ?? step[3] ?? '');
    if (next === undefined) return node;
    node = next;
  }
  return node;
}
