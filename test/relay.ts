import {connect, createServer, type Socket} from 'node:net';

/** Between a client and a server: cuts connections in the middle of what the server says. */
export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Connections that were cut so far. */
  readonly cuts: number;
  /** The next connection that has carried so many bytes more from the server is cut there; once. */
  cutAfter(bytes: number): void;
}

/** Starts a relay to a port of this machine. */
export async function startRelay(upstreamPort: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let left = Infinity;
  let cuts = 0;
  const listener = createServer((client) => {
    const upstream = connect(upstreamPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => {
      left -= bytes.length;
      if (left >= 0) return void client.write(bytes);
      const kept = bytes.subarray(0, bytes.length + left);
      left = Infinity;
      cuts++;
      upstream.destroy();
      client.end(kept, () => client.destroy());
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    get cuts() {
      return cuts;
    },
    cutAfter(bytes) {
      left = bytes;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
