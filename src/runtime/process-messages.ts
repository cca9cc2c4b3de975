import type {PlainError} from '../core/plain-error.ts';
import type {ExtractDone, ExtractJob} from '../pipeline/extract-runner.ts';
import type {Partition} from '../sdk/contract.ts';
import type {StoreOptions} from '../storage/store-options.ts';

/** What an extract process starts with. */
export interface ExtractStart {
  readonly lake: string;
  readonly storeOptions: StoreOptions;
  readonly memoryLimitMb: number;
  readonly threads: number;
  /** Folders that may be read beside the lake. */
  readonly inputs: readonly string[];
  /** As in `LakeOptions`. */
  readonly traceFile?: string | undefined;
  /** The gateway that staged the rows; absent: the connector reads them at the source. */
  readonly gatewayId?: string | undefined;
  readonly job: ExtractJob;
}

/** To an extract process. */
export type ExtractRequest =
  | {readonly kind: 'start'; readonly start: ExtractStart}
  | {readonly kind: 'partition'; readonly partition: Partition | null}
  | {readonly kind: 'abort'; readonly reason: PlainError};

/** From an extract process: `next` asks for a partition. */
export type ExtractReply =
  | {readonly kind: 'next'}
  | {readonly kind: 'done'; readonly done: ExtractDone}
  | {readonly kind: 'end'}
  | {readonly kind: 'failed'; readonly error: PlainError};
