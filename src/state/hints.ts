import type {PlainJson} from '../core/offset.ts';
import type {Store} from '../storage/store.ts';

/** Remembered facts that cost only time when they are lost: when a key scan ran last, what a verification said. */
export interface Hints {
  get(name: string): Promise<Readonly<Record<string, PlainJson>>>;
  /** Replaces the facts under a name. */
  put(name: string, facts: Readonly<Record<string, PlainJson>>): Promise<void>;
}

/** Hints under a prefix of a store, one small JSON object each. Unreadable ones count as absent. */
export function openHints(store: Store, prefix: string): Hints {
  const objectName = (name: string): string => `${prefix}/${encodeURIComponent(name)}.json`;
  return {
    async get(name: string): Promise<Readonly<Record<string, PlainJson>>> {
      const bytes = await store.get(objectName(name));
      if (bytes === null) return {};
      try {
        return JSON.parse(new TextDecoder().decode(bytes)) as Readonly<Record<string, PlainJson>>;
      } catch {
        // A hint that was torn is no hint.
        return {};
      }
    },
    async put(name: string, facts: Readonly<Record<string, PlainJson>>): Promise<void> {
      await store.put(objectName(name), new TextEncoder().encode(`${JSON.stringify(facts)}\n`));
    },
  };
}
