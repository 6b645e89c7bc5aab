import type { Socket } from 'node:net';
import type { Monotonic } from '../../common/clock.js';
import type { GuardedContainer } from '../../common/ports/watchdog.js';
import { onMessages, sendMessage } from './socket-messages.js';
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
