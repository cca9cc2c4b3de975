import type {IngestError} from '../../core/errors.ts';
import type {JsonValue} from '../../core/json-value.ts';
import type {ErrorRule, HttpHead, HttpMethod} from './http-client.ts';

/** Where a request goes; redirects change it. */
export interface Target {
  readonly url: URL;
  readonly method: HttpMethod;
  readonly hasBody: boolean;
  /** Of an origin that may not see credentials. */
  readonly isForeign: boolean;
  /** A redirect led to an origin that the request was not made for: its headers stay behind. */
  readonly wasRedirected: boolean;
}

/** An answer that was read as asked. */
export interface ReadAnswer {
  readonly head: HttpHead;
  /** Empty unless text was asked for. */
  readonly text: string;
  /** Null unless JSON was asked for. */
  readonly json: JsonValue;
  readonly sizeBytes: number;
  /** For a stream. */
  readonly pieces: AsyncGenerator<Uint8Array> | null;
  /** Ends a stream early, wherever its reader stands. */
  readonly close: () => void;
}

/** What came of an attempt that did not succeed but may yet. */
export type Setback =
  | {
      readonly kind: 'retry';
      readonly waitMs: number | null;
      readonly rule: ErrorRule | null;
      readonly failure: IngestError;
    }
  | {
      readonly kind: 'throttled';
      readonly waitMs: number | null;
      readonly rule: ErrorRule;
      readonly failure: IngestError;
    }
  | {readonly kind: 'refresh'; readonly credentialsVersion: number; readonly failure: IngestError};

/** What came of one attempt; what fails for good is thrown. `failure` is the error if it is the last attempt. */
export type Verdict =
  | {readonly kind: 'done'; readonly answer: ReadAnswer}
  | {readonly kind: 'redirect'; readonly target: Target; readonly failure: IngestError}
  | Setback;
