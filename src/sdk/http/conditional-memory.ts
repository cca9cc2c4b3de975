import type {WholeBody} from '../decode/body-text.ts';
import type {RawHeaders} from './reply-headers.ts';

/** A body that the source may call unchanged. */
export interface RememberedBody {
  readonly etag: string;
  readonly body: WholeBody;
  readonly sizeBytes: number;
  /** Of the answer that brought it: a 304 leaves most of them out, links to further pages among them. */
  readonly headers: RawHeaders;
}

/** The bodies of conditional requests, those longest unused forgotten first. */
export interface ConditionalMemory {
  get(key: string): RememberedBody | undefined;
  put(key: string, body: RememberedBody): void;
}

/** Makes a memory of at most `maxBytes`; a body larger than a quarter of it is not kept. */
export function conditionalMemory(maxBytes: number): ConditionalMemory {
  const bodies = new Map<string, RememberedBody>();
  let held = 0;
  const drop = (key: string): void => {
    held -= bodies.get(key)?.sizeBytes ?? 0;
    bodies.delete(key);
  };
  return {
    get(key) {
      const body = bodies.get(key);
      if (body === undefined) return undefined;
      bodies.delete(key);
      bodies.set(key, body);
      return body;
    },
    put(key, body) {
      drop(key);
      if (body.sizeBytes > maxBytes / 4) return;
      bodies.set(key, body);
      held += body.sizeBytes;
      for (const oldest of bodies.keys()) {
        if (held <= maxBytes) return;
        drop(oldest);
      }
    },
  };
}
