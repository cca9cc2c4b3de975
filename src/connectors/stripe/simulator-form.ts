import type {JsonObject, JsonValue} from '../../sdk/index.ts';

/** A form with brackets as the object that it says: `metadata[plan]=gold`, `items[0][price]=price_1`, `types[]=card`; all values are texts. */
export function formObject(form: URLSearchParams): JsonObject {
  const root: FormNode = new Map();
  for (const [name, value] of form) {
    const path = [...name.matchAll(/\[\]|[^[\]]+/g)].map(([part]) => part);
    put(root, path, value);
  }
  return objectOf(root);
}

type FormNode = Map<string, FormNode | string>;

function put(node: FormNode, [part = '', ...rest]: readonly string[], value: string): void {
  const name = part === '[]' ? String(node.size) : part;
  if (rest.length === 0) {
    node.set(name, value);
    return;
  }
  const known = node.get(name);
  const inner: FormNode = known instanceof Map ? known : new Map();
  node.set(name, inner);
  put(inner, rest, value);
}

function objectOf(node: FormNode): JsonObject {
  return Object.fromEntries([...node].map(([name, value]) => [name, valueOf(value)]));
}

function valueOf(value: FormNode | string): JsonValue {
  if (typeof value === 'string') return value;
  const isList = [...value.keys()].every((name, index) => name === String(index));
  return isList ? [...value.values()].map(valueOf) : objectOf(value);
}

/** Values of a form as an object has them: numbers and booleans where its sample has them. */
export function typedFields(fields: JsonObject, sample: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typedValue(value ?? null, sample[name])]),
  );
}

function typedValue(value: JsonValue, sample: JsonValue | undefined): JsonValue {
  if (typeof value !== 'string') return value;
  if (typeof sample === 'number') return Number(value);
  return typeof sample === 'boolean' ? value === 'true' : value;
}
