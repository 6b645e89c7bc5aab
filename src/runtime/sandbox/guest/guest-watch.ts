import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { GuestChange } from '../../../common/ports/guest.js';
import { callGuest, readNothing } from './guest-call.js';
import { listGuestDirectory } from './guest-directories.js';
import { type GuestAttempt, guestBroke, guestError } from './guest-errors.js';
import { GuestAnswer, GuestRequest } from './guest-frames.js';
import { GuestCredit, GuestInflow } from './guest-inflow.js';
import { type InotifyEvent, InotifyFlag, readInotifyEvents } from './guest-inotify.js';
import type { GuestLink } from './guest-link.js';
import { encodePath } from './guest-text.js';

const windowBytes = 262_144;
const maxWaitingChanges = 65_536;
const maxDirectories = 65_536;

const changes =
  InotifyFlag.modify |
  InotifyFlag.movedFrom |
  InotifyFlag.movedTo |
  InotifyFlag.create |
  InotifyFlag.delete |
  InotifyFlag.exclUnlink;
const ofRoot = changes | InotifyFlag.deleteSelf;
const ofDirectory = (changes | InotifyFlag.onlyDirectory | InotifyFlag.dontFollow) >>> 0;

interface Move {
  readonly cookie: number;
  readonly path: string;
  readonly isDirectory: boolean;
}

/** Resolves when every change from then on will come. @throws as the port says */
export async function watchInGuest(
  link: GuestLink,
  path: string,
  options: { readonly recursive?: boolean },
): Promise<AsyncIterableIterator<GuestChange>> {
  const watching = new Watching(link, path, options.recursive ?? false);
  await watching.start();
  return watching.changes;
}

/**
 * The kernel watches single directories: those below the root are added here, and those that come. One is read once its watch
 * is there, and what is found in one that has come is reported, as it may have been made before: so a `create` can come twice,
 * but none is missed.
 */
class Watching {
  readonly changes: GuestInflow<GuestChange>;
  readonly #link: GuestLink;
  readonly #root: string;
  readonly #isRecursive: boolean;
  readonly #paths = new Map<number, string>();
  /** What each change that waits has cost of the credit. */
  readonly #costs = new WeakMap<GuestChange, number>();
  /** Directories that have come and whose contents are being read. */
  readonly #followed = new Set<{ readonly path: string }>();
  #ref = 0;
  #credit: GuestCredit | null = null;
  #rest: Buffer = Buffer.alloc(0);
  #isReady = false;
  /** It has left a place; where it went, if anywhere here, the next event says. */
  #moving: Move | null = null;

  constructor(link: GuestLink, path: string, isRecursive: boolean) {
    this.#link = link;
    this.#root = path.replace(/\/+$/, '') || '/';
    this.#isRecursive = isRecursive;
    this.changes = new GuestInflow<GuestChange>({
      onTaken: (change) => this.#credit?.taken(this.#costs.get(change) ?? 0),
      onReturn: () => this.#link.abandon(this.#ref),
    });
  }

  async start(): Promise<void> {
    const attempt = { verb: 'watch', path: this.#root };
    await this.#open(attempt);
    try {
      if (this.#isRecursive) await this.#watchBelow(this.#root, false);
    } catch (error) {
      // A file has nothing below.
      if (!isHoldfastError(error, 'InvalidArgument')) {
        this.#link.abandon(this.#ref);
        throw error;
      }
    }
    this.#isReady = true;
  }

  async #open(attempt: GuestAttempt): Promise<void> {
    const text = encodePath(this.#root);
    const opened = new Promise<void>((resolve, reject) => {
      let isOpen = false;
      this.#ref = this.#link.request(GuestRequest.Watch, [[4, windowBytes]], {
        onFrame: (kind, body) => {
          if (isOpen || (kind !== GuestAnswer.Ok && kind !== GuestAnswer.Error))
            throw guestBroke(`a ${kind} for a watch`);
          isOpen = true;
          if (kind === GuestAnswer.Ok) return resolve();
          this.#link.release(this.#ref);
          reject(guestError(attempt, body));
        },
        onData: (_kind, bytes) => this.#onData(bytes),
        onLost: (error) => {
          reject(error);
          this.changes.end(error);
        },
      });
      this.#credit = new GuestCredit(this.#link, this.#ref, windowBytes);
    });
    const added = this.#add(text, ofRoot, attempt);
    try {
      await Promise.all([opened, added]);
    } catch (error) {
      this.#link.abandon(this.#ref);
      throw error;
    }
  }

  #add(text: Uint8Array, mask: number, attempt: GuestAttempt): Promise<unknown> {
    return callGuest(this.#link, {
      kind: GuestRequest.AddPath,
      fields: [[4, this.#ref], [4, mask], { text }],
      attempt,
      // At once: its first changes may be right behind.
      read: (body) => this.#paths.set(readWatch(body), attempt.path),
    });
  }

  /** Everything below a directory that is watched already. @throws what is wrong with that directory, or that there are too many */
  async #watchBelow(path: string, isNew: boolean): Promise<void> {
    for (const { name, type } of await listGuestDirectory(this.#link, path, {})) {
      const below = join(path, name);
      if (isNew) this.#emit({ type: 'create', path: below }, 0);
      if (type === 'directory') await this.#watchDirectory(below, isNew);
    }
  }

  /** One that is gone meanwhile is none. @throws where there are too many */
  async #watchDirectory(path: string, isNew: boolean): Promise<void> {
    if (this.#paths.size >= maxDirectories) throw tooMany(this.#root);
    try {
      await this.#add(encodePath(path), ofDirectory, { verb: 'watch', path });
      await this.#watchBelow(path, isNew);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  #onData(bytes: Buffer): void {
    const page = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const read = readInotifyEvents(page, (event) => this.#onEvent(event));
    this.#rest = Buffer.from(page.subarray(read));
    if (this.#moving !== null) this.#awaitDestination(this.#moving);
  }

  #onEvent(event: InotifyEvent): void {
    const { flags, bytes } = event;
    if (flags & InotifyFlag.overflow) return this.#fail(lostChanges(this.#root));
    const directory = this.#paths.get(event.watch);
    if (directory === undefined) return this.#credit?.taken(bytes);
    const path = event.name === '' ? directory : join(directory, event.name);
    const isDirectory = (flags & InotifyFlag.isDirectory) !== 0;
    if (flags & InotifyFlag.movedTo && this.#moving?.cookie === event.cookie) return this.#arrive(path, bytes);
    this.#leave();
    if (flags & InotifyFlag.movedFrom) {
      this.#moving = { cookie: event.cookie, path, isDirectory };
      this.#credit?.taken(bytes);
    } else if (flags & (InotifyFlag.create | InotifyFlag.movedTo)) {
      this.#emit({ type: 'create', path }, bytes);
      if (isDirectory) this.#follow(path);
    } else if (flags & InotifyFlag.ignored) {
      this.#paths.delete(event.watch);
      this.#credit?.taken(bytes);
    } else {
      this.#emit({ type: flags & InotifyFlag.modify ? 'modify' : 'delete', path }, bytes);
    }
  }

  /** A directory has come. */
  #follow(path: string): void {
    if (!this.#isRecursive) return;
    const following = { path };
    this.#followed.add(following);
    this.#watchDirectory(path, true)
      .catch((error: unknown) => this.#fail(error instanceof HoldfastError ? error : lostChanges(this.#root)))
      .finally(() => this.#followed.delete(following));
  }

  #arrive(path: string, bytes: number): void {
    const { path: from, isDirectory } = this.#moving as Move;
    this.#moving = null;
    for (const [watch, below] of this.#paths) {
      if (isBelow(below, from)) this.#paths.set(watch, path + below.slice(from.length));
    }
    this.#emit({ type: 'rename', path, from }, bytes);
    // What was being read when it moved cannot be found there any more.
    const isUnread =
      !this.#isReady || [...this.#followed].some((each) => isBelow(each.path, from) || isBelow(from, each.path));
    if (isDirectory && isUnread) this.#follow(path);
  }

  /** What moved has not arrived here: it has left. */
  #leave(): void {
    const moving = this.#moving;
    if (moving === null) return;
    this.#moving = null;
    this.#emit({ type: 'delete', path: moving.path }, 0);
    for (const [watch, below] of this.#paths) {
      if (!moving.isDirectory || !isBelow(below, moving.path)) continue;
      this.#paths.delete(watch);
      // Where the link has ended, so have its watches.
      this.#unwatch(watch).catch(() => undefined);
    }
  }

  /** Both halves of a move are queued at once, but one may have been read between them: then the agent has the other by now. */
  #awaitDestination(moving: Move): void {
    const settle = async () => {
      await this.#unwatch(0);
      await this.#unwatch(0);
      if (this.#moving === moving) this.#leave();
    };
    // The link has ended, and the changes with it.
    settle().catch(() => undefined);
  }

  /** A watch that is not there any more is fine, 0 is never one. */
  #unwatch(watch: number): Promise<void> {
    return callGuest(this.#link, {
      kind: GuestRequest.DropPath,
      fields: [
        [4, this.#ref],
        [4, watch],
      ],
      attempt: { verb: 'watch', path: this.#root },
      read: readNothing,
    });
  }

  #emit(change: GuestChange, cost: number): void {
    if (!this.#isReady) return this.#credit?.taken(cost);
    if (this.changes.waitingCount >= maxWaitingChanges) return this.#fail(lostChanges(this.#root));
    if (cost > 0) this.#costs.set(change, cost);
    this.changes.push(change);
  }

  #fail(error: HoldfastError): void {
    this.#link.abandon(this.#ref);
    this.changes.end(error);
  }
}

function join(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function isGone(error: unknown): boolean {
  return isHoldfastError(error, 'FileNotFound') || isHoldfastError(error, 'InvalidArgument');
}

function readWatch(body: Buffer): number {
  if (body.length !== 4) throw guestBroke('a watch is malformed');
  return body.readUInt32LE(0);
}

function lostChanges(root: string): HoldfastError {
  const why = `more changed below ${root} than was read; list it again and watch it anew`;
  return new HoldfastError('StreamLost', why, { details: { path: root } });
}

function tooMany(root: string): HoldfastError {
  const why = `there are more than ${maxDirectories} directories below ${root}, too many to watch`;
  return new HoldfastError('PayloadTooLarge', why, { details: { path: root } });
}
