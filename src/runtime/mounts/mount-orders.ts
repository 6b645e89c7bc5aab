import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { bootFolderName } from '../process/boot-folder.js';
import { onMessages, sendMessage } from '../process/socket-messages.js';
import { MountDaemon, type MountDaemonParts } from './mount-daemon.js';
import { type MountAnswer, type MountOrder, mountError } from './mount-messages.js';

export interface MountOrdersOptions {
  /** To the worker; its end is the worker's death. */
  readonly socket: Socket;
  readonly clock: Clock;
  readonly openStores: (stores: unknown) => Promise<Pick<MountDaemonParts, 'store' | 'objects'>>;
  readonly log: (line: string) => void;
}

/** The whole life of a process of mounts: it ends with its worker, when what is to be committed is, or with its mount. */
export async function obeyMountOrders({ socket, clock, openStores, log }: MountOrdersOptions): Promise<void> {
  const daemon: { starting: Promise<MountDaemon> | null } = { starting: null };
  const start = async (order: Extract<MountOrder, { type: 'start' }>): Promise<MountDaemon> => {
    const { bootId, folder, launcher, cacheBytes, stores } = order;
    const { store, objects } = await openStores(stores);
    // Named by this process: what it leaves behind is nobody's when it is dead.
    const own = join(folder, bootFolderName(bootId));
    return await MountDaemon.start({ store, objects, clock, launcher, folder: own, cacheBytes, log });
  };
  await new Promise<void>((resolve) => {
    const obey = async (order: MountOrder): Promise<string> => {
      if (order.type === 'start') {
        daemon.starting ??= start(order);
        void daemon.starting.then(async ({ over }) => await over).then(resolve, resolve);
      }
      if (daemon.starting === null) throw new HoldfastError('Internal', `${order.type} came before the start`);
      return await obeyed(await daemon.starting, order);
    };
    onMessages<MountOrder>(socket, (order) => {
      const answer = (result: MountAnswer): void => sendMessage(socket, result);
      const { id } = order;
      obey(order).then(
        (value) => answer({ id, ok: true, value }),
        (error: unknown) => answer({ id, ok: false, error: mountError(error) }),
      );
    });
    socket.on('error', () => {
      // 'close' follows, and is what counts.
    });
    socket.on('close', () => resolve());
  });
  const started = await daemon.starting?.catch(() => null); // the worker was told why
  await started?.stop();
}

async function obeyed(daemon: MountDaemon, order: MountOrder): Promise<string> {
  switch (order.type) {
    case 'start':
      return daemon.files;
    case 'attach':
      return await daemon.attach(order.mount);
    case 'detach':
      await daemon.detach(order.name);
      return '';
    case 'commit':
      return await daemon.mount(order.name).commit(order.ask);
    case 'reload':
      return await daemon.mount(order.name).reload(order.isForced);
    case 'ping':
      return '';
    case 'stop':
      await daemon.stop();
      return '';
    default:
      return order satisfies never;
  }
}
