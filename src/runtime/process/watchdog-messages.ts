import type { Socket } from 'node:net';
import type { Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { GuardedContainer } from '../../common/ports/watchdog.js';
import type { OrderPort } from './watchdog-process.js';

/** From the worker to its watchdog. */
export type WatchdogOrder =
  | {
      readonly type: 'start';
      readonly bootId: string;
      readonly deadline: Monotonic;
      /** For how long at most the lease can outlive its last renewal. */
      readonly leaseTtlMs: number;
      /** What `openStore` of the process takes; may hold passwords, hence never in its arguments. */
      readonly store: unknown;
      /** Folders of the boot's cgroups, removed at the end. */
      readonly cgroupParents: readonly string[];
      /** Of the boot's own, removed with all that is in them after the lease. */
      readonly folders: readonly string[];
    }
  | { readonly type: 'guard'; readonly container: GuardedContainer }
  | { readonly type: 'release'; readonly containerId: string }
  | { readonly type: 'extend'; readonly deadline: Monotonic }
  | { readonly type: 'stop' };

/** From the watchdog to its worker. */
export type WatchdogAnswer = { readonly type: 'ready' } | { readonly type: 'guarded'; readonly containerId: string };

const lengthBytes = 4;
const maxMessageBytes = 65_536;

/** The watchdog's end of the socket between the two. */
export function socketOrders(socket: Socket): OrderPort {
  return {
    listen: ({ onOrder, onClosed }) => {
      onMessages<WatchdogOrder>(socket, onOrder);
      socket.on('error', () => {
        // 'close' follows, and is what counts.
      });
      socket.on('close', onClosed);
    },
    answer: (answer) => sendMessage(socket, answer),
  };
}

/** u32 length | JSON. */
export function sendMessage(socket: Socket, message: WatchdogOrder | WatchdogAnswer): void {
  const body = Buffer.from(JSON.stringify(message), 'utf8');
  const length = Buffer.allocUnsafe(lengthBytes);
  length.writeUInt32LE(body.length);
  socket.write(Buffer.concat([length, body]));
}

/** Visits each message as it comes. A malformed one destroys the socket: the other side is not what it should be. */
export function onMessages<M extends WatchdogOrder | WatchdogAnswer>(
  socket: Socket,
  visit: (message: M) => void,
): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= lengthBytes) {
      const length = rest.readUInt32LE();
      if (length > maxMessageBytes) {
        socket.destroy(
          new HoldfastError('Internal', `a watchdog message of ${length} bytes, at most ${maxMessageBytes} expected`),
        );
        return;
      }
      if (rest.length < lengthBytes + length) return;
      const body = rest.toString('utf8', lengthBytes, lengthBytes + length);
      rest = rest.subarray(lengthBytes + length);
      visit(JSON.parse(body) as M);
    }
  });
}
