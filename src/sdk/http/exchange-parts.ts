import type {Clock, Random} from '../../core/clock.ts';
import type {Admission} from './admission.ts';
import type {ConditionalMemory} from './conditional-memory.ts';
import type {Credentials} from './credentials.ts';
import type {HttpClientOptions} from './http-options.ts';
import type {Redactor} from './redaction.ts';
import type {Tracer} from './trace.ts';
import type {Transport} from './transport.ts';

/** What all requests of a connection share. */
export interface Exchange {
  readonly options: HttpClientOptions;
  readonly connectionName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly admission: Admission;
  readonly redactor: Redactor;
  readonly tracer: Tracer | null;
  readonly memory: ConditionalMemory;
  /** Origins to which credentials may go. */
  readonly origins: ReadonlySet<string>;
  readonly credentials: () => Credentials;
}
