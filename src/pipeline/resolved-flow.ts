import type {Predicate} from '../core/predicate.ts';
import type {DataType, StructType} from '../core/types.ts';
import type {IngestionType, TableOptions} from '../sdk/contract.ts';
import type {ObjectSpec, TableConfiguration} from './spec.ts';

/** What the pages of changes of a table bring. */
export interface ChangeSource {
  /** Type of the sequence that each change has; null: they have none. */
  readonly sequence: DataType | null;
  /** The changes of a key come in their order, and none is missing. */
  readonly isOrdered: boolean;
}

/** One flow, everything decided: one source table into one destination table. */
export interface ResolvedFlow {
  /** `catalog.schema.table` of the destination. */
  readonly name: string;
  /** Name prefix of the destination in the store. */
  readonly root: string;
  /** The source table as the connector names it. */
  readonly sourceTable: string;
  readonly object: ObjectSpec;
  readonly configuration: TableConfiguration;
  readonly ingestionType: IngestionType;
  /** How rows become visible. */
  readonly target: 'append' | 'scd1' | 'scd2';
  /** SCD type 2: columns whose change begins a new version; empty otherwise. */
  readonly trackedColumns: readonly string[];
  /** Columns in which a NULL of an update says nothing. */
  readonly ignoreNullColumns: readonly string[];
  readonly keys: readonly string[];
  readonly keysEnforced: boolean;
  /** Columns of the landed table that order changes; empty when there are none. */
  readonly sequence: readonly string[];
  /**
   * Dotted paths in the source whose values land as `_sluice_sequence`, several as a struct; empty when the sequence is stored
   * in its own columns, or comes with the changes.
   */
  readonly hiddenSequence: readonly string[];
  /** What pages of changes bring; null when the table has none. */
  readonly changes: ChangeSource | null;
  /** Deletes must be remembered, because older changes may come after them. */
  readonly keepTombstones: boolean;
  /** A NULL sequence is a data error (explicit `sequence_by`), not the lowest value. */
  readonly sequenceRequired: boolean;
  /** The connector's cursor as it stands in a record (maybe dotted); null without one. */
  readonly cursorField: string | null;
  /** True when the cursor is a timestamp, so that the framework can end the trigger. */
  readonly cursorIsTimestamp: boolean;
  /** Columns that the read must bring, in the source's order, with landed types: selected ones and those of predicates. */
  readonly landingSchema: StructType;
  /** Columns of the destination that come from the source, technical ones last. */
  readonly tableSchema: StructType;
  /**
   * Names of columns in the destination by their names in the source, where they differ. Keys, sequence, history lists and
   * `tableSchema` have the destination's names; `landingSchema`, predicates and the cursor the source's.
   */
  readonly columnNames: Readonly<Record<string, string>>;
  /** Values for which the destination has no column are rescued. */
  readonly rescueUnknown: boolean;
  /** Source columns that nobody selected: known, and left out on purpose. */
  readonly ignoredColumns: readonly string[];
  readonly rowFilter: Predicate | null;
  readonly deletionCondition: Predicate | null;
  readonly truncateCondition: Predicate | null;
  readonly options: TableOptions;
  readonly comment: string | null;
}
