import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { LiveNames } from '../../common/live/live-names.js';
import type { OpenBucket } from '../../common/ports/bucket.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { Store } from '../../common/ports/store.js';
import { bootFolderName } from '../process/boot-folder.js';
import { onMessages, sendMessage } from '../process/socket-messages.js';
import { BlockCache } from './bucket/block-cache.js';
import { openBucketTree } from './bucket/open-bucket-tree.js';
import { LiveTree } from './live/live-tree.js';
import { MountDaemon } from './mount-daemon.js';
import { type MountAnswer, type MountOrder, mountError } from './mount-messages.js';
import type { TreeSource } from './trees/tree-ask.js';
import { TreeMounts, type TreePlace } from './trees/tree-mounts.js';

export interface MountOrdersOptions {
  /** To the worker; its end is the worker's death. */
  readonly socket: Socket;
  readonly clock: Clock;
  readonly random: Random;
  readonly openStores: (
    stores: unknown,
  ) => Promise<{ readonly store: Pick<Store, 'volumes' | 'holds' | 'live'>; readonly objects: ObjectStore }>;
  readonly openBucket: OpenBucket;
  /** chunk-thread-main */
  readonly chunkThread: URL;
  readonly log: (line: string) => void;
}

/** The whole life of a process of mounts: it ends with its worker, when what is to be committed is, or with its mount. */
export async function obeyMountOrders(options: MountOrdersOptions): Promise<void> {
  const { socket, clock, random, openStores, openBucket, chunkThread, log } = options;
  const daemon: { starting: Promise<Mounts> | null } = { starting: null };
  const start = async (order: Extract<MountOrder, { type: 'start' }>): Promise<Mounts> => {
    const { bootId, folder, launcher, cacheBytes, stores } = order;
    const { store, objects } = await openStores(stores);
    // Named by this process: what it leaves behind is nobody's when it is dead.
    const own = join(folder, bootFolderName(bootId));
    const parts = { store, objects, clock, launcher, folder: own, cacheBytes, chunkThread, log };
    const volumes = await MountDaemon.start(parts);
    const blocks = new BlockCache();
    const openTree = async (source: TreeSource, place: TreePlace) => {
      if (source.kind === 'bucket') return await openBucketTree(openBucket, source, { ...place, clock, blocks, log });
      const { account, name, isMadeIfMissing } = source;
      const names = new LiveNames({ store: store.live, objects, clock, random }, account);
      const { id } = isMadeIfMissing ? await names.make(name, null) : await names.existing(name);
      return new LiveTree(names.files(id));
    };
    return { volumes, trees: new TreeMounts({ clock, launcher, folder: own, openTree, log }) };
  };
  await new Promise<void>((resolve) => {
    const obey = async (order: MountOrder): Promise<string> => {
      if (order.type === 'start') {
        daemon.starting ??= start(order);
        void daemon.starting
          .then(({ volumes, trees }) => Promise.race([volumes.over, trees.over]))
          .then(resolve, resolve);
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
  if (started != null) await stop(started);
}

interface Mounts {
  readonly volumes: MountDaemon;
  readonly trees: TreeMounts;
}

async function stop(mounts: Mounts): Promise<void> {
  await mounts.trees.stop();
  await mounts.volumes.stop();
}

async function obeyed({ volumes: daemon, trees }: Mounts, order: MountOrder): Promise<string> {
  switch (order.type) {
    case 'start':
      return daemon.files;
    case 'attach':
      return await daemon.attach(order.mount);
    case 'attach-tree':
      return await trees.attach(order.mount);
    case 'detach':
      await (trees.has(order.name) ? trees : daemon).detach(order.name);
      return '';
    case 'commit':
      return await daemon.mount(order.name).commit(order.ask);
    case 'reload':
      return await daemon.mount(order.name).reload(order.isForced);
    case 'ping':
      return '';
    case 'stop':
      await stop({ volumes: daemon, trees });
      return '';
    default:
      return order satisfies never;
  }
}
