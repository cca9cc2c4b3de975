import type {ServerResponse} from 'node:http';

import type {Fault} from './fault-plan.ts';

/** An answer as bytes. */
export interface EncodedReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Buffer;
  /** The body is not sent. */
  readonly isHead: boolean;
}

/** Sends an answer with what its faults do to it. False when not even its head went out. */
export async function sendReply(
  reply: EncodedReply,
  faults: readonly Fault[],
  outgoing: ServerResponse,
  closed: AbortSignal,
): Promise<boolean> {
  outgoing.sendDate = false;
  const kinds = new Set(faults.map(({kind}) => kind));
  const reset = faults.find((fault) => fault.kind === 'reset');
  if (kinds.has('hang')) {
    await left(outgoing, closed);
    return false;
  }
  if (reset !== undefined && reset.when !== 'midBody') {
    resetSocket(outgoing);
    return false;
  }
  const changed = kinds.has('truncate') ? truncated(reply) : kinds.has('malformed') ? malformed(reply) : reply;
  if (reset !== undefined || kinds.has('stall')) {
    head(changed, outgoing);
    await written(outgoing, changed.bytes.subarray(0, changed.bytes.length >> 1));
    if (kinds.has('stall')) await left(outgoing, closed);
    else resetSocket(outgoing);
    return true;
  }
  head(changed, outgoing);
  outgoing.end(changed.isHead ? undefined : changed.bytes);
  return true;
}

function head({status, headers, bytes}: EncodedReply, outgoing: ServerResponse): void {
  const hasBody = status !== 204 && status !== 304;
  outgoing.writeHead(status, hasBody ? {...headers, 'content-length': String(bytes.length)} : headers);
}

function truncated(reply: EncodedReply): EncodedReply {
  return {...reply, bytes: reply.bytes.subarray(0, reply.bytes.length >> 1)};
}

function malformed(reply: EncodedReply): EncodedReply {
  const half = reply.bytes.length >> 1;
  return {
    ...reply,
    // The line break is wrong inside a text as well.
    bytes: Buffer.concat([reply.bytes.subarray(0, half), Buffer.from('\n]}<!oops'), reply.bytes.subarray(half)]),
  };
}

function written(outgoing: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (bytes.length === 0) outgoing.flushHeaders();
    outgoing.write(bytes.length === 0 ? Buffer.from(' ') : bytes, () => resolve());
  });
}

/** Ends the connection with RST, so that the client sees an error and no end of the body. */
function resetSocket(outgoing: ServerResponse): void {
  const {socket} = outgoing;
  if (socket !== null && 'resetAndDestroy' in socket) socket.resetAndDestroy();
  else outgoing.destroy();
}

/** Resolves when the client ends the connection or the simulator closes. */
function left(outgoing: ServerResponse, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const leave = (): void => {
      closed.removeEventListener('abort', leave);
      resolve();
    };
    closed.addEventListener('abort', leave, {once: true});
    outgoing.once('close', leave);
    if (closed.aborted || outgoing.destroyed) leave();
  });
}
