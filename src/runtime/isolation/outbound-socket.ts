import { once } from 'node:events';
import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { IsolatedBind } from '../../common/ports/sandbox.js';
import { outboundSocketPath } from '../container/outbound-route.js';
import type { OutboundProxy } from '../outbound/outbound-proxy.js';

/** A socket file through which an isolated container reaches its proxy; a file, because it shares no network with its worker. */
export interface OutboundSocket {
  readonly bind: IsolatedBind;
  close(): Promise<void>;
}

/** @param place.folder that only this user can enter @throws Unavailable */
export async function openOutboundSocket(
  proxy: OutboundProxy,
  place: { readonly folder: string; readonly id: string },
): Promise<OutboundSocket> {
  await mkdir(place.folder, { recursive: true, mode: 0o700 });
  const name = `${place.id}.sock`;
  const source = join(place.folder, name);
  const server = createServer({ allowHalfOpen: true }, (connection) => proxy.accept(connection));
  const folder = await open(place.folder);
  try {
    // By the folder's descriptor: a path of more than 107 bytes cannot be listened on.
    server.listen(`/proc/self/fd/${folder.fd}/${name}`);
    await once(server, 'listening');
  } finally {
    await folder.close();
  }
  // The container is another user.
  await chmod(source, 0o666);
  return {
    bind: { source, target: outboundSocketPath, isSocket: true },
    close: async () => {
      proxy.close();
      server.close();
      await rm(source, { force: true });
    },
  };
}
