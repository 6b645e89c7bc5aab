import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Who connects to whom. */
export const links = [
  'client-router',
  'client-worker',
  'router-redis',
  'worker-redis',
  'router-nats',
  'worker-nats',
] as const;
export type Link = (typeof links)[number];

/**
 * When a request is lost: before anything of it has arrived, with half of it, or when it was carried out and nothing of
 * the answer has come back. Its connection is lost with it.
 */
export type Moment = 'before' | 'during' | 'after';

/** A server that does what it does, does it within this. */
const carriedOutWithinMs = 100;

interface Armed {
  readonly moment: Moment;
  readonly done: () => void;
}

/** Relays of connections, by link, which lose what they are told to. */
export class Tampers {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #armed = new Map<Link, Armed>();

  /** Gives the address at which `target`, `host:port`, can be reached through this link. */
  async through(link: Link, target: string): Promise<string> {
    const server = createServer({ noDelay: true }, (client) => this.#relay(link, client, target));
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Loses the next request on that link; resolves when it is lost, or when nothing was said for `withinMs`: then false. */
  lose(link: Link, moment: Moment, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isLost: boolean): void => {
        clearTimeout(late);
        this.#armed.delete(link);
        resolve(isLost);
      };
      const late = setTimeout(() => end(false), withinMs);
      this.#armed.set(link, { moment, done: () => end(true) });
    });
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #relay(link: Link, client: Socket, target: string): void {
    const colon = target.lastIndexOf(':');
    const server = connect({ host: target.slice(0, colon), port: Number(target.slice(colon + 1)), noDelay: true });
    const end = (): void => {
      client.resetAndDestroy();
      server.resetAndDestroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      // Of either side: the other learns of it by its end.
      socket.on('error', end);
      socket.once('close', end);
    }
    let isMute = false;
    client.on('data', (bytes) => {
      const armed = isMute ? undefined : this.#armed.get(link);
      if (armed === undefined) return forward(bytes, { from: client, to: server });
      isMute = true;
      armed.done();
      if (armed.moment === 'before') return end();
      if (armed.moment === 'during') return void server.end(bytes.subarray(0, bytes.length >> 1), end);
      server.write(bytes);
      setTimeout(end, carriedOutWithinMs);
    });
    server.on('data', (bytes) => {
      if (!isMute) forward(bytes, { from: server, to: client });
    });
  }
}

function forward(bytes: Buffer, { from, to }: { readonly from: Socket; readonly to: Socket }): void {
  if (to.write(bytes)) return;
  from.pause();
  to.once('drain', () => from.resume());
}
