import type {Offset, PlainJson} from '../core/offset.ts';
import type {Ledger} from '../sdk/contract.ts';

/** Offsets of rows and deletes, as a flow commits them together. */
export interface ProofOffset {
  readonly rows: Offset | null;
  readonly deletes: Offset | null;
}

/** A ledger whose entries count once the batch is committed. */
export interface ProofLedger extends Ledger {
  commit(): void;
  rollBack(): void;
  clear(): void;
}

/** A ledger in memory. */
export function memoryLedger(): ProofLedger {
  const committed = new Map<string, PlainJson>();
  const pending = new Map<string, PlainJson>();
  return {
    get(keys) {
      const found = new Map<string, PlainJson>();
      for (const key of keys) {
        const value = pending.get(key) ?? committed.get(key);
        if (value !== undefined) found.set(key, value);
      }
      return Promise.resolve(found);
    },
    put: (key, value) => void pending.set(key, structuredClone(value)),
    commit() {
      for (const [key, value] of pending) committed.set(key, value);
      pending.clear();
    },
    rollBack: () => pending.clear(),
    clear() {
      committed.clear();
      pending.clear();
    },
  };
}
