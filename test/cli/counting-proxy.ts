import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Between a client and a server: counts what the client sends. */
export class CountingProxy implements AsyncDisposable {
  /** Bytes that clients have sent so far. */
  sent = 0;
  /** Called with `sent` whenever it grows. */
  onSent: (bytes: number) => void = () => undefined;
  readonly #sockets = new Set<Socket>();
  readonly #server;

  private constructor(target: string) {
    const [host = '', port = ''] = target.split(':');
    this.#server = createServer((client) => {
      const server = connect(Number(port), host);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
      client.on('data', (bytes) => {
        this.sent += bytes.length;
        this.onSent(this.sent);
      });
    });
  }

  /** @param target `host:port` */
  static async start(target: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
