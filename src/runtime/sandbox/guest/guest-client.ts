import type { Duplex } from 'node:stream';
import type { HoldfastError } from '../../../common/errors.js';
import type { Guest, GuestCommand, GuestOutputListener, GuestProcess } from '../../../common/ports/guest.js';
import type { TimerWheel } from '../../../common/timer-wheel.js';
import { callGuest, readNothing } from './guest-call.js';
import { connectInGuest, listenInGuest } from './guest-connection.js';
import { listGuestDirectory, makeGuestDirectory, statGuestPath } from './guest-directories.js';
import { type GuestAttempt, guestBroke } from './guest-errors.js';
import { GuestFlag, GuestRequest } from './guest-frames.js';
import { GuestLink, linkClosed } from './guest-link.js';
import { spawnInGuest } from './guest-process.js';
import { listGuestProcesses, type StartedCommand } from './guest-processes.js';
import { readGuestFile, readWholeGuestFile } from './guest-read.js';
import { decodeName, encodePath } from './guest-text.js';
import { watchInGuest } from './guest-watch.js';
import { openGuestWriter, writeWholeGuestFile } from './guest-write.js';

/**
 * The guest whose agent has the other end of this socket, as soon as it says hello.
 * @throws Unavailable where it ends, says nothing or something else
 */
export async function openGuest(socket: Duplex, wheel: TimerWheel): Promise<Guest> {
  const link = new GuestLink(socket, wheel);
  await link.greeted;
  return new GuestClient(link);
}

class GuestClient implements Guest {
  readonly closed: Promise<HoldfastError>;
  readonly read: Guest['read'];
  readonly write: Guest['write'];
  readonly watch: Guest['watch'];
  readonly list: Guest['list'];
  readonly connect: Guest['connect'];
  readonly listen: Guest['listen'];
  readonly #link: GuestLink;
  /** Of the commands that run, by their refs. */
  readonly #commands = new Map<number, StartedCommand>();

  constructor(link: GuestLink) {
    this.#link = link;
    this.closed = link.closed;
    this.read = (path, range) => readGuestFile(link, path, range);
    this.write = (path, options = {}) => openGuestWriter(link, path, options);
    this.watch = (path, options = {}) => watchInGuest(link, path, options);
    this.list = (path, options = {}) => listGuestDirectory(link, path, options);
    this.connect = (port) => connectInGuest(link, port);
    this.listen = (port, onConnection) => listenInGuest(link, port, onConnection);
  }

  async spawn(command: GuestCommand, onOutput: GuestOutputListener): Promise<GuestProcess> {
    const process = await spawnInGuest(this.#link, command, onOutput);
    this.#commands.set(process.ref, { pid: process.pid, argv: command.argv });
    const forget = () => this.#commands.delete(process.ref);
    process.exited.then(forget, forget);
    return process;
  }

  async processes(): ReturnType<Guest['processes']> {
    return listGuestProcesses(this.#link, (ref) => this.#commands.get(ref) ?? null);
  }

  async stat(path: string, options: { readonly followLinks?: boolean } = {}): ReturnType<Guest['stat']> {
    return statGuestPath(this.#link, path, { followLinks: options.followLinks ?? true });
  }

  mkdir(path: string, options: { readonly parents?: boolean; readonly existOk?: boolean } = {}): Promise<void> {
    return makeGuestDirectory(this.#link, path, options);
  }

  async remove(
    path: string,
    options: { readonly recursive?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return callGuest(this.#link, {
      kind: GuestRequest.Remove,
      fields: [[1, options.recursive ? GuestFlag.recursive : 0], { text: encodePath(withoutSlash(path)) }],
      attempt: { verb: 'remove', path },
      signal: options.signal,
      read: readNothing,
    });
  }

  async rename(from: string, to: string): Promise<void> {
    return callGuest(this.#link, {
      kind: GuestRequest.Rename,
      fields: [{ text: encodePath(from) }, { text: encodePath(to) }],
      attempt: { verb: 'rename', path: `${from} to ${to}` },
      read: readNothing,
    });
  }

  readFile(path: string, options: { readonly maxBytes: number }): Promise<Uint8Array> {
    return readWholeGuestFile(this.#link, path, options.maxBytes);
  }

  writeFile(path: string, content: Uint8Array, options: Parameters<Guest['writeFile']>[2] = {}): Promise<void> {
    return writeWholeGuestFile(this.#link, { path, content }, options);
  }

  async realpath(path: string, options: { readonly directory?: boolean } = {}): Promise<string> {
    if (!options.directory) return this.#realpath({ verb: 'resolve', path });
    // Its own entry is found only in a directory that may be searched.
    const [, real] = await Promise.all([
      statGuestPath(this.#link, `${path}/.`, { followLinks: true }),
      this.#realpath({ verb: 'go to', path }),
    ]);
    return real;
  }

  #realpath(attempt: GuestAttempt): Promise<string> {
    return callGuest(this.#link, {
      kind: GuestRequest.Realpath,
      fields: [{ text: encodePath(attempt.path) }],
      attempt,
      read: (body) => {
        if (body[0] !== 0x2f) throw guestBroke('a path is malformed');
        return decodeName(body);
      },
    });
  }

  close(): void {
    this.#link.end(linkClosed());
  }
}

/** A link with a slash behind it would mean what it points to. */
function withoutSlash(path: string): string {
  return path.replace(/\/+$/, '') || path;
}
