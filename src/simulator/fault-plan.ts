import type {SimulatedRequest} from './request.ts';
import {matchesPath} from './route.ts';
import type {ErrorReply} from './simulator-spec.ts';
import type {Simulator} from './simulator.ts';

/** What goes wrong. Times of faults are real milliseconds. */
export type Fault =
  /** Another answer, whatever the endpoint would say: 429, 5xx, 200 with an error in the body. */
  | ({readonly kind: 'answer'} & ErrorReply)
  /** The connection is reset before the answer, or in the middle of its body. */
  | {readonly kind: 'reset'; readonly when?: 'beforeHeaders' | 'midBody'}
  /** The answer begins late. */
  | {readonly kind: 'slow'; readonly firstByteMs: number}
  /** Nothing comes until the client leaves. */
  | {readonly kind: 'hang'}
  /** Half of the body comes, then nothing until the client leaves. */
  | {readonly kind: 'stall'}
  /** Half of the body as if it were all. */
  | {readonly kind: 'truncate'}
  /** A body that is no JSON. */
  | {readonly kind: 'malformed'}
  /** The rows of the page before are on this page too. */
  | {readonly kind: 'repeatRows'}
  /** The answer that this endpoint gave last comes again: a page that does not move on. */
  | {readonly kind: 'stuckPage'}
  /** The rows of the page in another order. */
  | {readonly kind: 'shuffleRows'}
  /** The cursor or delta token of the request is refused as expired. */
  | {readonly kind: 'expireCursor'}
  /** All access tokens die before the request is looked at. */
  | {readonly kind: 'expireTokens'}
  /** Something happens before the request is answered, for example rows change between pages. */
  | {
      readonly kind: 'run';
      /** Called before the request is looked at. */
      readonly run: (simulator: Simulator, request: SimulatedRequest) => void;
    };

/** When a fault happens: everything that is given must hold. */
export interface FaultRule {
  readonly fault: Fault;
  readonly method?: string;
  /** The path, `*` for any text and `{name}` for a segment. */
  readonly path?: string;
  /** Requests besides method and path. */
  readonly where?: (request: SimulatedRequest) => boolean;
  /** The how manieth of the requests that match, from 1. */
  readonly nth?: number | readonly number[];
  /** Every so many of them. */
  readonly every?: number;
  /** A share of them, drawn by the seed, the address and how often it was asked: not by the order of other requests. */
  readonly probability?: number;
  /** With `probability`: the most times in a row that one address fails. Default 2. */
  readonly inARow?: number;
  /** How often at most. Default: once, but without end with `nth`, `every` or `probability`. */
  readonly times?: number;
}

/** The faults of one simulator. */
export interface FaultControl {
  /** Adds rules; they count requests from now on. */
  add(...rules: readonly FaultRule[]): void;
  /** Takes all rules away. */
  clear(): void;
  /** How many faults happened. */
  readonly count: number;
}

interface RuleState {
  readonly rule: FaultRule;
  readonly index: number;
  matched: number;
  happened: number;
  /** Per address: how often it was asked, and how often in a row it failed. */
  readonly addresses: Map<string, {asked: number; failed: number}>;
}

/** Decides which faults a request meets. */
export class FaultPlan implements FaultControl {
  readonly #seed: number;
  #rules: RuleState[] = [];
  #added = 0;
  #count = 0;

  constructor(seed: number, rules: readonly FaultRule[]) {
    this.#seed = seed;
    this.add(...rules);
  }

  get count(): number {
    return this.#count;
  }

  add(...rules: readonly FaultRule[]): void {
    for (const rule of rules)
      this.#rules.push({rule, index: this.#added++, matched: 0, happened: 0, addresses: new Map()});
  }

  clear(): void {
    this.#rules = [];
  }

  /** The faults of one request, in the order of their rules. */
  pick(request: SimulatedRequest): readonly Fault[] {
    if (this.#rules.length === 0) return [];
    const faults = this.#rules.filter((state) => this.#happens(state, request)).map(({rule}) => rule.fault);
    this.#count += faults.length;
    return faults;
  }

  #happens(state: RuleState, request: SimulatedRequest): boolean {
    const {rule} = state;
    if (rule.method !== undefined && rule.method !== request.method) return false;
    if (rule.path !== undefined && !matchesPath(rule.path, request.method, request.path)) return false;
    if (rule.where !== undefined && !rule.where(request)) return false;
    state.matched++;
    if (state.happened >= (rule.times ?? defaultTimes(rule))) return false;
    if (!isCounted(rule, state.matched) || !this.#isDrawn(state, request)) return false;
    state.happened++;
    return true;
  }

  #isDrawn(state: RuleState, request: SimulatedRequest): boolean {
    const {probability, inARow = 2} = state.rule;
    if (probability === undefined) return true;
    const address = `${request.method} ${request.target} ${request.text}`;
    const known = state.addresses.get(address) ?? {asked: 0, failed: 0};
    state.addresses.set(address, known);
    known.asked++;
    const isHit = draw(`${this.#seed} ${state.index} ${known.asked} ${address}`) < probability && known.failed < inARow;
    known.failed = isHit ? known.failed + 1 : 0;
    return isHit;
  }
}

function defaultTimes({nth, every, probability}: FaultRule): number {
  return nth === undefined && every === undefined && probability === undefined ? 1 : Infinity;
}

function isCounted({nth, every}: FaultRule, matched: number): boolean {
  if (every !== undefined && matched % every !== 0) return false;
  if (nth === undefined) return true;
  return typeof nth === 'number' ? nth === matched : nth.includes(matched);
}

/** A number in [0, 1) of a text: FNV-1a with a final mix. */
function draw(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 4294967296;
}
