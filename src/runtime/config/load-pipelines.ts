import {resolve} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {ConnectionSpec, PipelineSpec} from '../../pipeline/spec.ts';
import type {StoreOptions} from '../../storage/store-options.ts';
import {
  findStored,
  listStored,
  openOption,
  openStored,
  unknownConnection,
  type StorePlace,
} from '../connections/connection-store.ts';
import {
  bundleShape,
  connectionShape,
  gatewayShape,
  IGNORED_PIPELINE_KEYS,
  isGateway,
  isIngestion,
  pipelineShape,
} from './bundle-shapes.ts';
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
import {connectorPlace} from './connector-place.ts';
import type {Environment} from './environment.ts';
import {sluiceHome} from './home-folders.ts';
import {interpolate, type Scope} from './interpolate.ts';
import {inFolder, lakeOptionsShape} from './lake-shapes.ts';
import {findFile, loadData, loadFile, type LoadedFile} from './load-bundle.ts';
import {gatewayIdOf, gatewaySettingsOf, isIntegrated, ownGateway, type GatewaySpec} from './resolve-gateway.ts';
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
  /** Folder of Sluice's own files; default: SLUICE_HOME, else `.sluice` beside the file. */
  readonly home?: string | undefined;
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

/**
 * The gateways of a configuration, or one of them by key, with the pipelines that read what they stage.
 * @throws as {@link loadPipelines}
 */
export async function loadGateways(
  request: LoadRequest,
): Promise<LoadedLake & {readonly gateways: readonly GatewaySpec[]}> {
  const {data, file, cwd} = request;
  const bundle = new Bundle(data === undefined ? await loadFile(file, cwd) : await loadData(data, cwd), request);
  return {gateways: bundle.gateways(request.pipeline), ...bundle.lake()};
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

/** The connections that can be named. */
export interface KnownConnections {
  readonly store: StorePlace;
  /** The configuration; null when there is none. */
  readonly file: string | null;
  /** Names of those that the configuration declares; the store may hold more. */
  readonly declared: readonly string[];
  /** What the configuration says of the connector of a connection that it declares. */
  readonly connectorOf: (name: string) => string;
  /** A connection with its secrets, by name: of the configuration, else of the store. @throws INVALID_OPTION when there is none, MISSING_SECRET */
  readonly find: (name: string) => ConnectionSpec;
}

/**
 * The connections of the configuration and of the store; secrets are read when one is asked for.
 * @throws INVALID_SPEC when there is a configuration and it is malformed, or none where one is named.
 */
export async function loadConnections(request: Omit<LoadRequest, 'pipeline' | 'data'>): Promise<KnownConnections> {
  if (request.file === undefined && (await findFile(request.cwd)) === null) {
    const store = storePlace(request, request.cwd);
    return {store, file: null, declared: [], connectorOf: () => '', find: (name) => storedConnection(store, name, [])};
  }
  return new Bundle(await loadFile(request.file, request.cwd), request).connections();
}

function storePlace(request: Pick<LoadRequest, 'env' | 'home'>, folder: string): StorePlace {
  return {home: request.home ?? sluiceHome(request.env, folder), env: request.env};
}

function storedConnection(store: StorePlace, name: string, declared: readonly string[]): ConnectionSpec {
  const stored = findStored(store, name);
  if (stored !== null) return openStored(store, stored);
  throw unknownConnection(name, [...declared, ...listStored(store).map((one) => one.name)]);
}

/** A loaded file with a target's overrides and values for its variables. */
class Bundle {
  private readonly loaded: LoadedFile;
  private readonly root: ConfigMap;
  private readonly scope: Scope;
  private readonly found: Problem[] = [];
  private readonly store: StorePlace;

  constructor(loaded: LoadedFile, request: LoadRequest) {
    this.loaded = loaded;
    this.store = storePlace(request, loaded.folder);
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
    const entries = this.entries();
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

  private entries(): readonly PipelineEntry[] {
    const all = childOf(childOf(this.root, 'resources'), 'pipelines');
    return all?.kind === 'map' ? [...all.entries].map(([key, entry]) => ({key, node: entry.node})) : [];
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
    const gateway = definition.ingestion_gateway_id ?? null;
    const connection =
      gateway === null
        ? this.connection(
            definition.connection_name ?? '',
            `${definitionPath}.connection_name`,
            childOf(childOf(node, door), 'connection_name') ?? node,
          )
        : this.gateway(this.gatewayEntry(gateway, `${definitionPath}.ingestion_gateway_id`, node)).connection;
    const problems: Problem[] = [];
    const spec = resolvePipeline({
      key: entry.key,
      text,
      definition,
      connection,
      gateway,
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

  /** The gateways of the file, each with the pipelines that read its staging; pipelines that are their own gateway come too. */
  gateways(wanted: string | undefined): readonly GatewaySpec[] {
    const all = this.entries();
    const chosen = all.filter(({key, node}) => (wanted === undefined || key === wanted) && isGateway(node));
    const readers = all.filter(({node}) => isIngestion(node));
    const gateways = chosen.map((entry) => {
      const gateway = this.gateway(entry);
      const bound = readers.filter(({node}) => this.gatewayOf(node) === entry.key);
      return {...gateway, pipelines: bound.map((reader) => this.pipeline(reader))};
    });
    const own = readers.filter(({key, node}) => (wanted === undefined || key === wanted) && isIntegrated(node));
    return [...gateways, ...own.map((entry) => ownGateway(this.pipeline(entry)))];
  }

  private gatewayOf(node: ConfigNode): unknown {
    const written = childOf(childOf(node, 'ingestion_definition'), 'ingestion_gateway_id');
    return written === undefined ? undefined : scalarOf(interpolate(written, 'ingestion_gateway_id', this.scope));
  }

  private gatewayEntry(key: string, path: string, at: ConfigNode): PipelineEntry {
    const known = this.entries().filter(({node}) => isGateway(node));
    const found = known.find((entry) => entry.key === key);
    if (found !== undefined) return found;
    const close = didYouMean(
      key,
      known.map((entry) => entry.key),
    );
    throw problemError({
      code: 'INVALID_SPEC',
      path: this.loaded.writtenPath(path),
      place: at.place,
      message: `there is no gateway "${key}" under ${this.loaded.writtenPath('resources.pipelines')}`,
      fix: close === null ? 'Add a pipeline with a gateway_definition.' : `Did you mean "${close}"?`,
    });
  }

  private gateway({key, node: written}: PipelineEntry): GatewaySpec {
    const path = pipelinePath(key);
    const node = interpolate(withoutIgnored(written), path, this.scope);
    const text = this.read(gatewayShape, node, path);
    const at = childOf(childOf(node, 'gateway_definition'), 'connection_name') ?? node;
    const connection = this.connection(
      text.gateway_definition.connection_name,
      `${path}.gateway_definition.connection_name`,
      at,
    );
    return {
      key,
      name: text.name ?? key,
      gatewayId: gatewayIdOf(key),
      connection,
      pipelines: [],
      settings: gatewaySettingsOf(text.gateway_settings),
    };
  }

  private connection(name: string, namePath: string, at: ConfigNode): ConnectionSpec {
    const known = this.declared();
    const found = known.get(name);
    if (found !== undefined) return this.declaredConnection(name, found);
    const stored = findStored(this.store, name);
    if (stored !== null) return openStored(this.store, stored);
    throw this.unknownConnection(name, [...known.keys()], {namePath, at});
  }

  /** The connections of the file and of the store; those of the file win. */
  connections(): KnownConnections {
    const declared = this.declared();
    return {
      store: this.store,
      file: this.loaded.file,
      declared: [...declared.keys()],
      connectorOf: (name) => String(connectorText(declared.get(name)?.node)),
      find: (name) => {
        const found = declared.get(name);
        return found === undefined
          ? storedConnection(this.store, name, [...declared.keys()])
          : this.declaredConnection(name, found);
      },
    };
  }

  private declaredConnection(name: string, found: DeclaredConnection): ConnectionSpec {
    const path = connectionPath(found.key);
    const text = this.read(connectionShape, interpolate(found.node, path, this.scope), path);
    const written = Object.fromEntries(text.options ?? []);
    const placed =
      text.connector === undefined
        ? {connector: (text.connection_type ?? '').toLowerCase()}
        : connectorPlace(text.connector, this.loaded.folder);
    // What a login gave lies in the store, also for a connection of the file; what the file says wins.
    const stored = findStored(this.store, name);
    const token = stored?.login?.option;
    const options =
      stored === null || token === undefined || stored.connector !== placed.connector || written[token] !== undefined
        ? written
        : {...written, [token]: openOption(this.store, stored, token)};
    return {name, ...placed, options, home: this.store.home};
  }

  private declared(): ReadonlyMap<string, DeclaredConnection> {
    const all = childOf(childOf(this.root, 'resources'), 'connections');
    const known = new Map<string, DeclaredConnection>();
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
    return known;
  }

  private unknownConnection(
    name: string,
    known: readonly string[],
    where: {readonly namePath: string; readonly at: ConfigNode},
  ): IngestError {
    const suggestion = didYouMean(name, known);
    const section = this.loaded.writtenPath('resources.connections');
    const fix =
      suggestion !== null
        ? `Did you mean "${suggestion}"?`
        : known.length > 0
          ? `Known: ${known.join(', ')}.`
          : `Add it: ${section}.${name} with connection_type and options, or "sluice connections create ${name}".`;
    const path = this.loaded.writtenPath(where.namePath);
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

function connectorText(node: ConfigNode | undefined): unknown {
  const type = scalarOf(childOf(node, 'connection_type'));
  return scalarOf(childOf(node, 'connector')) ?? (typeof type === 'string' ? type.toLowerCase() : '');
}

interface DeclaredConnection {
  readonly key: string;
  readonly node: ConfigNode;
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
