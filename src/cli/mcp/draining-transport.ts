import type {Transport, TransportSendOptions} from '@modelcontextprotocol/sdk/shared/transport.js';
import type {JSONRPCMessage, MessageExtraInfo, RequestId} from '@modelcontextprotocol/sdk/types.js';

/** A transport that can be closed once every request has its answer. */
export class DrainingTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: <T extends JSONRPCMessage>(message: T, extra?: MessageExtraInfo) => void;
  readonly #inner: Transport;
  readonly #open = new Set<RequestId>();
  #isEnding = false;

  constructor(inner: Transport) {
    this.#inner = inner;
    inner.onclose = () => this.onclose?.();
    inner.onerror = (error) => this.onerror?.(error);
    inner.onmessage = (message, extra) => {
      if ('method' in message && 'id' in message) this.#open.add(message.id);
      this.onmessage?.(message, extra);
      // Nobody answers what was given up.
      if ('method' in message && message.method === 'notifications/cancelled') this.#ended(requestOf(message.params));
    };
  }

  start(): Promise<void> {
    return this.#inner.start();
  }

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    await this.#inner.send(message, options);
    if ('id' in message && !('method' in message)) this.#ended(message.id);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** Closes as soon as every request that came is answered: the client sends no more, and may still read. */
  drain(): void {
    this.#isEnding = true;
    this.#ended(undefined);
  }

  #ended(id: RequestId | undefined): void {
    if (id !== undefined) this.#open.delete(id);
    if (this.#isEnding && this.#open.size === 0) void this.close();
  }
}

function requestOf(params: unknown): RequestId | undefined {
  if (typeof params !== 'object' || params === null || !('requestId' in params)) return undefined;
  const {requestId} = params;
  return typeof requestId === 'string' || typeof requestId === 'number' ? requestId : undefined;
}
