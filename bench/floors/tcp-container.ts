import { Packr } from 'msgpackr';
import { firstPayload } from '../load/first-calls.js';
import type { Value } from '../load/payload.js';
import type { Target } from '../load/target.js';
import { connectFrames, FrameSocket, listenForFrames } from './frame-socket.js';
import { ItemQueue } from './item-queue.js';
import { PendingCalls } from './pending-calls.js';

const packr = new Packr({ useRecords: false });

/** A call of `echo` carries its argument alone, one of `count` its number of items and this. */
type Request = readonly [value: unknown] | readonly [items: number, method: 'count'];

const instance = {
  async echo(value: unknown): Promise<unknown> {
    return value;
  },
  async *count(items: number): AsyncGenerator<number> {
    for (let item = 0; item < items; item += 1) yield item;
  },
};

/** The least that a container can do: decode, await the method, encode; no worker, no admission, no routing in between. */
export function serveTcpContainer(): Promise<number> {
  return listenForFrames((socket) => {
    let running = 0;
    const answer = (ref: number, value: unknown): void => {
      running -= 1;
      frames.write(ref, packr.pack(value));
      if (running === 0) frames.flushNow();
      else frames.flushSoon();
    };
    const count = async (ref: number, items: number): Promise<void> => {
      for await (const item of instance.count(items)) {
        frames.write(ref, packr.pack(item));
        frames.flushSoon();
      }
      answer(ref, null);
    };
    const frames = new FrameSocket(socket, (ref, body) => {
      running += 1;
      const request = packr.unpack(body) as Request;
      if (request.length === 2) void count(ref, request[0]);
      else void instance.echo(request[0]).then((value) => answer(ref, value));
    });
  });
}

/** Calls go to the servers in turn. */
export async function connectTcpContainer(ports: readonly number[]): Promise<Target> {
  const connections = await Promise.all(ports.map(connect));
  const [first] = connections;
  if (first === undefined) throw new Error('no server to connect to');
  return {
    call: (value, turn) => (connections[turn % connections.length] ?? first).echo(value),
    items: (count) => first.count(count),
    // As new as a name can be here: a connection of its own.
    firstCall: async () => {
      const connection = await connect(ports[0] ?? 0);
      await connection.echo(firstPayload);
      return async () => connection.close();
    },
    close: async () => {
      for (const connection of connections) connection.close();
    },
  };
}

interface Connection {
  echo(value: Value): Promise<Value>;
  count(items: number): AsyncIterable<number>;
  close(): void;
}

async function connect(port: number): Promise<Connection> {
  const pending = new PendingCalls();
  const queues = new Map<number, ItemQueue>();
  const frames = await connectFrames(port, (ref, body) => {
    const value: unknown = packr.unpack(body);
    const queue = queues.get(ref);
    if (queue === undefined) return pending.settle(ref, value as Value);
    queue.push(value as number | null);
    if (value === null) queues.delete(ref);
  });
  const flush = (): void => {
    if (pending.size === 1) frames.flushNow();
    else frames.flushSoon();
  };
  let lastItemsRef = 0;
  return {
    echo: (value) =>
      new Promise((resolve) => {
        frames.write(pending.add(resolve), packr.pack([value]));
        flush();
      }),
    count: (items) => {
      // Calls count up from 1 and never come as far as this.
      const ref = 0xffff_ffff - lastItemsRef++;
      const queue = new ItemQueue();
      queues.set(ref, queue);
      frames.write(ref, packr.pack([items, 'count']));
      frames.flushNow();
      return queue;
    },
    close: () => frames.close(),
  };
}
