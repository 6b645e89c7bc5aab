import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const [ticksPerS, pieceBytes] = [20, 16_384];

interface Way {
  readonly from: Socket;
  readonly to: Socket;
  readonly pieces: Buffer[];
  hasEnded: boolean;
}

/** Between clients and a server: all connections share so many bytes a second, in either direction. */
export class SlowLink implements AsyncDisposable {
  readonly #ways: Record<'up' | 'down', Way[]> = { up: [], down: [] };
  readonly #next = { up: 0, down: 0 };
  readonly #timer: NodeJS.Timeout;
  readonly #server = createServer((client) => {
    const server = connect(Number(this.#target.port), this.#target.hostname);
    this.#join('up', client, server);
    this.#join('down', server, client);
  });
  readonly #target: URL;

  static async start(target: string, bytesPerS: number): Promise<SlowLink> {
    const link = new SlowLink(target, bytesPerS);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  private constructor(target: string, bytesPerS: number) {
    this.#target = new URL(target);
    this.#timer = setInterval(() => {
      for (const direction of ['up', 'down'] as const) this.#move(direction, bytesPerS / ticksPerS);
    }, 1_000 / ticksPerS);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#server.close();
    for (const { from } of [...this.#ways.up, ...this.#ways.down]) from.destroy();
    await once(this.#server, 'close');
  }

  #join(direction: 'up' | 'down', from: Socket, to: Socket): void {
    const way: Way = { from, to, pieces: [], hasEnded: false };
    this.#ways[direction].push(way);
    from.on('data', (bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += pieceBytes) way.pieces.push(bytes.subarray(at, at + pieceBytes));
      from.pause();
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      way.hasEnded = true;
    });
  }

  /** A piece of each in turn. */
  #move(direction: 'up' | 'down', bytes: number): void {
    const isOver = ({ pieces, hasEnded }: Way): boolean => hasEnded && pieces.length === 0;
    for (const { to } of this.#ways[direction].filter(isOver)) to.end();
    const ways = this.#ways[direction].filter((way) => !isOver(way));
    this.#ways[direction] = ways;
    for (let room = bytes, idle = 0; room > 0 && idle < ways.length; this.#next[direction] += 1) {
      const way = ways[this.#next[direction] % ways.length];
      const piece = way?.pieces.shift();
      idle = piece === undefined ? idle + 1 : 0;
      if (way === undefined || piece === undefined) continue;
      room -= piece.length;
      way.to.write(piece);
      if (way.pieces.length === 0) way.from.resume();
    }
  }
}
