/** A container process: see runtime/container. Its worker starts it, with the socket as file descriptor 3. */
import { existsSync } from 'node:fs';
import { Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import { systemClock } from '../adapters/system/clock.js';
import { loadBundle } from '../runtime/container/load-bundle.js';
import { outboundSocketPath, routeOutbound } from '../runtime/container/outbound-route.js';
import { runContainer } from '../runtime/container/run-container.js';
import { proxyVariables } from '../runtime/outbound/proxy-variables.js';
import { sendReady } from '../runtime/process/ready-signal.js';
import { findClass, loaded, useContainerTransport } from '../sdk/classes/container-hooks.js';
import * as sdk from '../sdk/index.js';
import type { LoadBody } from '../wire/frames/frames.js';
import { MessageReader } from '../wire/link/message-reader.js';
import { SocketChannel } from '../wire/link/socket-channel.js';
import { rehearse } from './rehearsal.js';

// Only the worker ends a container: a supervisor that signals the whole service must not cut a drain short.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

Object.defineProperty(globalThis, Symbol.for('holdfast.container'), { value: sdk });

const parts = {
  resolveClass: findClass,
  load: (body: LoadBody) =>
    loadBundle(body, {
      setEnv: (env) => void Object.assign(process.env, env),
      importBundle: async (path) => loaded(await import(pathToFileURL(path).href)),
    }),
  clock: systemClock,
};
await rehearse(parts);

// Behind walls there is no network but this.
if (existsSync(outboundSocketPath)) Object.assign(process.env, proxyVariables(await routeOutbound()));

const reader = new MessageReader();
const socket = new Socket({ fd: 3, readable: true, writable: true, ...reader.options });
sendReady(socket);
const container = runContainer({
  ...parts,
  channel: new SocketChannel(socket, reader),
  onTransport: useContainerTransport,
});
process.on('uncaughtExceptionMonitor', (thrown) => container.reportCrash(thrown));

await container.closed;
process.exit(0);
