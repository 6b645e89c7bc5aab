/** The watchdog process: see runtime/process/watchdog-process. Its worker starts it, with the socket as file descriptor 3. */
import { Socket } from 'node:net';
import { systemClock } from '../adapters/system/clock.js';
import { hostKernel } from '../runtime/process/kernel.js';
import { socketOrders } from '../runtime/process/watchdog-messages.js';
import { runWatchdog } from '../runtime/process/watchdog-process.js';
import { openStore, type StoreConfig } from './open-store.js';

// It ends when its worker has: a supervisor that signals the whole service must not take it before.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// stderr is the worker's and may be gone with it.
process.stderr.on('error', () => undefined);

await runWatchdog({
  orders: socketOrders(new Socket({ fd: 3, readable: true, writable: true })),
  kernel: hostKernel,
  clock: systemClock,
  openLeases: async (config) => (await openStore(config as StoreConfig, systemClock)).leases,
  log: (line) => process.stderr.write(`${line}\n`),
});
process.exit(0);
