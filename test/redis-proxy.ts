import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What becomes of a command: `before`: it never reaches the server; `after`: it does, its answer is lost; the connection breaks. */
export type RedisCut = 'before' | 'after' | null;

/** Between a client and a Redis: one command at a time, each of which a test may see, hold up or cut off. */
export class RedisProxy implements AsyncDisposable {
  /** Asked before each command, with its name in lower case. */
  onCommand: (name: string) => RedisCut | Promise<RedisCut> = () => null;
  /** Called when the answer to a command that was cut off `after` has come. */
  onAnswered: () => void = () => undefined;
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => {
    const server = connect(this.#targetPort, '127.0.0.1');
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    this.#serve(client, server).catch(() => client.destroy()); // of the two one has ended
  });

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  static async start(targetPort: number): Promise<RedisProxy> {
    const proxy = new RedisProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  async #serve(client: Socket, server: Socket): Promise<void> {
    const [commands, answers] = [values(client), values(server)];
    for await (const command of commands) {
      const cut = await this.onCommand(nameOf(command));
      if (cut === 'before') break;
      server.write(command);
      const { value: answer } = await answers.next();
      if (cut === 'after') this.onAnswered();
      if (cut === 'after' || answer === undefined) break;
      client.write(answer);
    }
    client.destroy();
  }
}

/** Each whole value of the protocol that comes, as it was written. */
async function* values(socket: Socket): AsyncGenerator<Buffer, void, undefined> {
  let left = Buffer.alloc(0);
  for await (const bytes of socket) {
    left = Buffer.concat([left, bytes as Buffer]);
    for (let end = endOf(left, 0); end !== null; end = endOf(left, 0)) {
      yield left.subarray(0, end);
      left = left.subarray(end);
    }
  }
}

/** Where the value that begins there ends; null: not all of it is here. */
function endOf(bytes: Buffer, start: number): number | null {
  const line = bytes.indexOf('\r\n', start);
  if (line < 0) return null;
  const [kind, count] = [String.fromCharCode(bytes[start] ?? 0), Number(bytes.toString('latin1', start + 1, line))];
  if ('$=!'.includes(kind) && count >= 0) return bytes.length < line + count + 4 ? null : line + count + 4;
  let end: number | null = line + 2;
  const parts = '*~>'.includes(kind) ? count : kind === '%' ? 2 * count : 0;
  for (let i = 0; i < parts && end !== null; i++) end = endOf(bytes, end);
  return end;
}

function nameOf(command: Buffer): string {
  return /^\*\d+\r\n\$\d+\r\n(\w+)/.exec(command.toString('latin1', 0, 64))?.[1]?.toLowerCase() ?? '';
}
