import type {OptionValue} from '../contract.ts';
import type {AuthSpec} from './auth.ts';
import type {ErrorRule, HttpMethod, HttpTimeouts} from './http-client.ts';

/** What a budget looks at to tell whether a request counts. */
export interface BudgetedRequest {
  readonly method: HttpMethod;
  /** Without credentials. */
  readonly url: URL;
}

/** At most so many requests in any stretch of so many seconds, as the source counts them when they arrive. */
export interface RateBudget {
  readonly requests: number;
  readonly perSeconds: number;
  /** Which requests count. Default: all. */
  readonly matches?: (request: BudgetedRequest) => boolean;
}

/** Headers by which the source tells how many requests are left. Nothing is sent while none is, until the budget is refilled. */
export interface LearnedRate {
  /** Header with the requests that are left. */
  readonly remaining: string;
  /** Header that says when the budget is refilled. */
  readonly reset: string;
  readonly unit: 'seconds' | 'milliseconds' | 'epochSeconds' | 'epochMilliseconds' | 'httpDate';
  /** Header with the size of the whole budget: bounds the first burst after a refill. */
  readonly limit?: string;
  /** So many requests are left to others that use the same budget. Default 0. */
  readonly reserve?: number;
  /** Which requests count. Default: all. */
  readonly matches?: (request: BudgetedRequest) => boolean;
}

/** How often requests may be sent. All that is given holds at once. */
export interface RateOptions {
  /** Short for one budget over all requests. */
  readonly requestsPerSecond?: number;
  readonly budgets?: readonly RateBudget[];
  readonly learnFrom?: readonly LearnedRate[];
  /** A longer wait for a learned budget ends the run as throttled. Default 900. */
  readonly maxWaitSeconds?: number;
}

/** Trying again: full jitter, a random part of a bound that doubles with every attempt. */
export interface RetryOptions {
  /** How often a request is sent at most, waits that the source asks for not counted. Default 6. */
  readonly attempts?: number;
  /** The first bound. Default 500. */
  readonly baseMs?: number;
  /** The largest bound. Default 60,000. */
  readonly capMs?: number;
}

/** What makes an {@link HttpClient}. TLS certificates are always verified. */
export interface HttpClientOptions {
  /** Requests with a relative URL are appended to it: `https://api.example.com/v2` and `/users` give `https://api.example.com/v2/users`. */
  readonly baseUrl: string;
  /** Default: no credentials. A function is given the connection's options. */
  readonly auth?: AuthSpec | ((options: Readonly<Record<string, OptionValue>>) => AuthSpec);
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Asked after the request's own rules and before the defaults; the first that matches decides. */
  readonly errors?: readonly ErrorRule[];
  /** Origins beside the base URL's to which credentials may go, for example `https://files.example.com`. */
  readonly allowedOrigins?: readonly string[];
  readonly rate?: RateOptions;
  /** Most requests at once; the number in use adapts between 1 and this: halved when the source throttles, then slowly up. Default 16. */
  readonly maxConcurrency?: number;
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Default `sluice`. */
  readonly userAgent?: string;
  readonly retries?: RetryOptions;
  /** URL of an HTTP proxy. Default: what the environment of the run says ({@link CreateContext.proxies}). */
  readonly proxy?: string;
  /** Certificates (PEM) of further authorities, trusted beside the well-known ones. */
  readonly ca?: string;
  /** A file with such certificates. */
  readonly caFile?: string;
  /** Largest body that is read whole, after decompression. Default 256 MiB. */
  readonly maxBodyBytes?: number;
  /** Memory for the bodies of conditional requests. Default 32 MiB. */
  readonly conditionalMemoryBytes?: number;
  /** Values beside those of `auth` that no log, trace or message may show: options that are marked secret. */
  readonly secrets?: readonly string[];
}
