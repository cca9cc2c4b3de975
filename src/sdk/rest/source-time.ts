import type {HttpClient, HttpContext, HttpHead} from '../http/http-client.ts';

/** A difference below this, microseconds, is the way of the answer and the whole seconds of its `Date`. */
const NOISE_MICROS = 5_000_000n;
const MICROS_PER_MS = 1000n;

/**
 * How far this machine's clock is ahead of the source's, by the `Date` of its answers. Rows and events are stamped by the source: a bound
 * that is only ours would be in its future, and what it stamps until then would never be read.
 */
export class SourceTime {
  #aheadMicros = 0n;
  #isUsed = false;

  /** Takes the head of an answer that came just now. Afterwards {@link startOf} no longer changes. */
  note({headers, notModified}: HttpHead, {clock, log}: HttpContext): void {
    // An answer from memory has the time of long ago; one of a cache says its age.
    if (this.#isUsed || notModified) return;
    const dateMs = Date.parse(headers.get('date') ?? '');
    const ageSeconds = Number(headers.get('age') ?? 0);
    if (Number.isNaN(dateMs) || !Number.isSafeInteger(ageSeconds) || ageSeconds < 0) return;
    const ahead = clock.nowMicros() - (BigInt(dateMs) + BigInt(ageSeconds) * 1000n) * MICROS_PER_MS;
    if (ahead <= NOISE_MICROS || ahead <= this.#aheadMicros) return;
    this.#aheadMicros = ahead;
    log.info("This machine's clock is ahead of the source's, whose time counts.", {
      seconds: Number(ahead / 1_000_000n),
    });
  }

  /** The start of a trigger by the clock of the source, microseconds since 1970: never later than by ours. The first answer must be there. */
  startOf(triggerStartedAt: bigint): bigint {
    this.#isUsed = true;
    return triggerStartedAt - this.#aheadMicros;
  }
}

/** A client that tells the time of every answer. */
export function notingClient(client: HttpClient, time: SourceTime): HttpClient {
  const noted = async <T extends HttpHead>(reply: Promise<T>, ctx: HttpContext): Promise<T> => {
    const head = await reply;
    time.note(head, ctx);
    return head;
  };
  return {
    baseUrl: client.baseUrl,
    json: (request, ctx) => noted(client.json(request, ctx), ctx),
    text: (request, ctx) => noted(client.text(request, ctx), ctx),
    stream: (request, ctx) => noted(client.stream(request, ctx), ctx),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
