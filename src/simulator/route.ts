import type {EndpointSpec, SimulatedMethod} from './simulator-spec.ts';

/** An endpoint whose path and methods are ready to be compared. */
export interface Route {
  readonly endpoint: EndpointSpec;
  /** The path with the API's base path. */
  readonly pattern: string;
  readonly methods: readonly SimulatedMethod[];
  /** The path parameters, null when the path is another. */
  match(path: string): Readonly<Record<string, string>> | null;
}

/** Makes a route of an endpoint. */
export function routeOf(endpoint: EndpointSpec, basePath: string): Route {
  const pattern = `${basePath}${endpoint.path}`;
  const names: string[] = [];
  const source = pattern.replace(/\{(\w+)(\*?)\}|[.*+?^$()|[\]\\]/g, (part, name: string | undefined, rest: string) => {
    if (name === undefined) return `\\${part}`;
    names.push(name);
    return rest === '*' ? '(.+)' : '([^/]+)';
  });
  const expression = new RegExp(`^${source}$`);
  return {
    endpoint,
    pattern,
    methods: methodsOf(endpoint),
    match(path) {
      const match = expression.exec(path);
      if (match === null) return null;
      return Object.fromEntries(names.map((name, index) => [name, decode(match[index + 1] ?? '')]));
    },
  };
}

/** True when method and path fit a text like `POST /search/*` or `/users`. */
export function matchesPath(pattern: string, method: string, path: string): boolean {
  const [first = '', second] = pattern.split(' ');
  if (second !== undefined && first !== method) return false;
  const source = (second ?? first)
    .replace(/[.+?^$()|[\]\\]/g, '\\$&')
    .replace(/\{\w+\}/g, '[^/]+')
    .replaceAll('*', '.*');
  return new RegExp(`^${source}$`).test(path);
}

function methodsOf(endpoint: EndpointSpec): readonly SimulatedMethod[] {
  const {method} = endpoint;
  if (typeof method === 'string') return [method];
  if (method !== undefined) return method;
  if ('create' in endpoint) return ['POST'];
  if ('update' in endpoint) return ['PATCH'];
  return 'delete' in endpoint ? ['DELETE'] : ['GET'];
}

/** A path as text; what is no valid encoding stays as it is. */
export function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    // Foreign input: the endpoint then finds no row of that name.
    return segment;
  }
}
