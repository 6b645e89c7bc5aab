import { readdirSync } from 'node:fs';
import { realpath, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { parseBootFolder } from '../process/boot-folder.js';
import { removeFolder } from '../process/remove-folder.js';
import { mountedFolders, unmount } from './fuse-mount.js';
import type { MountAsk, MountRequest } from './mount-messages.js';
import { MountProcess, type MountProcessOptions } from './mount-process.js';
import type { TreeAsk } from './trees/tree-ask.js';
import type { CommitAsk } from './volume-mount.js';

/** A mount of this host. */
export interface HostMount {
  readonly name: string;
  /** Where it is seen. */
  readonly folder: string;
  /** Resolves when its process has ended before it was detached: nothing can be read from it any more. */
  readonly lost: Promise<void>;
  /** The id of the commit. @throws CommitConflict, PayloadTooLarge, InvalidArgument, Unavailable */
  commit(ask: CommitAsk): Promise<string>;
  /** The id of the commit that is seen then. @throws CommitConflict, Unavailable */
  reload(isForced: boolean): Promise<string>;
  /** Idempotent. @throws what the last commit fails with */
  detach(): Promise<void>;
}

/** Opening reads a directory or two, however large the volume is. */
const attachWithinMs = 60_000;
/** What was written may take long to send. */
const commitWithinMs = 1_800_000;
const reloadWithinMs = 120_000;
const stopWithinMs = 60_000;

/**
 * The mounts of one boot of a worker. Their process starts with the first one; after it has died, with the next.
 */
export class MountHost {
  readonly #options: MountProcessOptions;
  #process: Promise<MountProcess> | null = null;
  #isClosed = false;

  constructor(options: MountProcessOptions) {
    this.#options = options;
  }

  /** @throws NotFound, AlreadyExists, Unavailable */
  async attach(mount: MountAsk): Promise<HostMount> {
    return await this.#attach({ type: 'attach', mount });
  }

  /** Of what is no volume: it has no commits. @throws VolumeUnavailable, Unavailable */
  async attachTree(mount: TreeAsk): Promise<HostMount> {
    return await this.#attach({ type: 'attach-tree', mount });
  }

  async #attach(request: Extract<MountRequest, { type: 'attach' | 'attach-tree' }>): Promise<HostMount> {
    const { name } = request.mount;
    const process = await this.#running();
    const folder = await process.ask(request, attachWithinMs).catch((error: unknown) => {
      // It may come to it later, when nobody waits for it any more.
      if (isHoldfastError(error, 'Unavailable'))
        process.ask({ type: 'detach', name }, commitWithinMs).catch(() => undefined);
      throw error;
    });
    let unwatch = (): void => undefined;
    const lost = new Promise<void>((resolve) => {
      unwatch = process.whenOver(resolve);
    });
    return {
      name,
      folder,
      lost,
      commit: (ask) => process.ask({ type: 'commit', name, ask }, commitWithinMs),
      reload: (isForced) => process.ask({ type: 'reload', name, isForced }, reloadWithinMs),
      detach: async () => {
        unwatch();
        if (!process.isOver) await process.ask({ type: 'detach', name }, commitWithinMs);
        else if (request.type === 'attach') checkNothingLost(request.mount);
      },
    };
  }

  /** Of the process that runs, for tests; null: none does. */
  async pid(): Promise<number | null> {
    return (await this.#process)?.pid ?? null;
  }

  /** Commits what is to be committed, within a minute; then nothing is mounted any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const process = await this.#process?.catch(() => null); // it did not start
    await process?.stop(stopWithinMs);
    await sweepMounts(this.#options);
  }

  async #running(): Promise<MountProcess> {
    if (this.#isClosed) throw new HoldfastError('Unavailable', 'the worker is ending and mounts nothing any more');
    const before = this.#process;
    const known = await before?.catch(() => null); // the next one tries again
    if (known != null && !known.isOver) return known;
    // Of several that came here at once, the first: two processes would be two caches, and one that nobody ends.
    if (this.#process === before) this.#process = this.#start();
    return await (this.#process as Promise<MountProcess>);
  }

  async #start(): Promise<MountProcess> {
    await sweepMounts(this.#options);
    return await MountProcess.start(this.#options);
  }
}

/** Its process has ended. @throws VolumeUnavailable where it would have committed */
function checkNothingLost({ volume, commitsByItself, isReadOnly }: MountAsk): void {
  if (!commitsByItself || isReadOnly) return;
  throw new HoldfastError(
    'VolumeUnavailable',
    `the process of mounts has ended: what was written to volume ${volume} since its last commit is lost`,
  );
}

/** Unmounts and removes what processes that are dead have left. */
export async function sweepMounts({
  folder,
  launcher,
}: {
  readonly folder: string;
  readonly launcher: string;
}): Promise<void> {
  // The kernel's list has no links in its paths.
  const real = await realpath(folder).catch(() => folder);
  for (const name of namesIn(real)) {
    if (parseBootFolder(name)?.owner !== 'dead') continue;
    const path = join(real, name);
    const places = ['files', 'shared'].map((place) => join(path, place));
    for (const files of places) if (mountedFolders().includes(files)) await unmount(launcher, files);
    // Whatever is still mounted there must not be removed with it.
    if (places.some((files) => mountedFolders().includes(files))) continue;
    for (const files of places) await rmdir(files).catch(() => undefined); // gone with its mount
    for (const part of ['cache', 'local']) await removeFolder(join(path, part)).catch(() => undefined); // what stays is found again
    await rmdir(path).catch(() => undefined); // with something in it that is not ours
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Nothing was mounted there yet.
    return [];
  }
}
