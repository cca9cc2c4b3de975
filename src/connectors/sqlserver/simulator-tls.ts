import type {Duplex} from 'node:stream';
import {duplexPair} from 'node:stream';
import {createSecureContext, TLSSocket} from 'node:tls';

/** Who the server is, and since when a connection to it is encrypted. */
export interface WireTls {
  /** `strict`: from the first byte (TDS 8). `login`: its handshake comes in messages of the pre-login (TDS 7.4). */
  readonly from: 'strict' | 'login';
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
}

/** TLS whose handshake travels in messages of the pre-login, and which then carries the connection. */
export class LoginTls {
  /** What is written into it goes out encrypted; what comes in is read from it. */
  readonly plain: TLSSocket;
  readonly #outer: Duplex;
  readonly #flight: Buffer[] = [];
  #isSecure = false;

  /** @param reply Sends one whole flight of the server. @param raw Sends bytes as they are. */
  constructor(
    {certificate, key}: WireTls,
    {reply, raw}: {readonly reply: (flight: Buffer) => void; readonly raw: (bytes: Buffer) => void},
  ) {
    const [inner, outer] = duplexPair();
    this.#outer = outer;
    this.plain = new TLSSocket(inner, {
      isServer: true,
      secureContext: createSecureContext({cert: certificate, key, maxVersion: 'TLSv1.2'}),
    });
    outer.on('data', (bytes: Buffer) => {
      if (this.#isSecure) {
        raw(bytes);
        return;
      }
      this.#flight.push(bytes);
      const flight = Buffer.concat(this.#flight);
      const end = endOf(flight);
      if (end === 'open') return;
      this.#flight.length = 0;
      this.#isSecure = end === 'finished';
      reply(flight);
    });
  }

  /** The handshake is over: messages are inside of it from now on. */
  get isSecure(): boolean {
    return this.#isSecure;
  }

  /** Takes what the client sent: the content of its pre-login messages, then bytes as they are. */
  take(bytes: Buffer): void {
    this.#outer.write(bytes);
  }
}

const RECORD = {changeCipherSpec: 20, handshake: 22} as const;
const SERVER_HELLO_DONE = Buffer.from([14, 0, 0, 0]);

/** Whether a flight of the server is whole: it ends with ServerHelloDone, or with the first record behind the change of the cipher. */
function endOf(flight: Buffer): 'open' | 'asked' | 'finished' {
  let isEncrypted = false;
  for (let at = 0; at + 5 <= flight.length;) {
    const next = at + 5 + flight.readUInt16BE(at + 3);
    if (next > flight.length) return 'open';
    if (isEncrypted) return 'finished';
    if (flight[at] === RECORD.changeCipherSpec) isEncrypted = true;
    else if (flight[at] === RECORD.handshake && flight.subarray(next - 4, next).equals(SERVER_HELLO_DONE))
      return 'asked';
    at = next;
  }
  return 'open';
}
