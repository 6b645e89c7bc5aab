import { ulid } from 'ulid';
import { checkOptions } from '../../common/check-options.js';
import { type ErrorCode, isHoldfastError } from '../../common/errors.js';
import { checkedLiveName } from '../../common/live/live-names.js';
import { type Check, expected } from '../../common/option-checks.js';
import { checkedMountPath, type LiveMountReference, type Mountable, mountable } from '../../common/volume-mounts.js';
import { parsePath } from '../../common/volumes/paths.js';
import {
  DeleteLiveReply,
  DeleteLiveRequest,
  ExtendLiveReply,
  ExtendLiveRequest,
  ListLiveNamesReply,
  ListLiveNamesRequest,
  ListLiveReply,
  ListLiveRequest,
  MakeLiveReply,
  MakeLiveRequest,
  ReadLiveReply,
  ReadLiveRequest,
  RemoveLiveReply,
  RemoveLiveRequest,
  WriteLiveReply,
  WriteLiveRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { type CallLimits, Limits, limitChecks } from '../calls/call-limits.js';
import { type CallChoice, checkChoice, choiceChecks, chooseClient, chosen } from '../client-choice.js';
import type { ClientChoice } from '../infos.js';
import type { Bytes, FileStat } from '../sandbox/types.js';
import type { ClientCore } from '../sessions/client-core.js';
import { cutContent } from './content-pieces.js';
import { RenewedLease } from './renewed-lease.js';
import { volumeChecks } from './volume-calls.js';
import { choiceOf } from './volume-declaration.js';

const pieceBytes = 1_048_576;
const ttlMs = 30_000;

/**
 * Files that are shared live: what is written is seen by every mount and client at once, without commits and reloads. Slower than a
 * volume: each read and write asks the store.
 */
export class NetworkFileSystem implements Mountable {
  readonly name: string;
  /** Where containers find it, unless they name another path; null: only where they do. */
  readonly mountPath: string | null;
  readonly #choice: ClientChoice;
  readonly #isMadeIfMissing: boolean;

  private constructor(name: string, options: ClientChoice & { createIfMissing?: boolean }, mountPath: string | null) {
    checkChoice(`network file system ${String(name)}`, options, {
      ...choiceChecks,
      createIfMissing: expected.boolean,
    });
    const { createIfMissing = false } = options;
    this.name = checkedLiveName(name);
    this.mountPath = mountPath;
    this.#choice = choiceOf(options);
    this.#isMadeIfMissing = createIfMissing;
  }

  /** Names one; it is looked up, or made, when it is first used. @throws InvalidArgument */
  static fromName(
    name: string,
    options: { readonly createIfMissing?: boolean } & ClientChoice = {},
  ): NetworkFileSystem {
    return new NetworkFileSystem(name, options, null);
  }

  /**
   * One of a fresh name, deleted with all it holds when it is disposed: `await using nfs = await NetworkFileSystem.ephemeral()`. Where
   * the client dies or is closed it is gone half a minute later.
   */
  static async ephemeral(options: CallChoice = {}): Promise<NetworkFileSystem & AsyncDisposable> {
    const { client: core, limits } = chosen('NetworkFileSystem.ephemeral', options);
    const name = `ephemeral-${ulid(core.clock.now()).toLowerCase()}`;
    const make = { request: { name, ttlMs }, of: MakeLiveRequest, reply: MakeLiveReply };
    const { id } = await core.ask('MakeLive', make, limits);
    const lease = new RenewedLease(core, ttlMs, async () => {
      const request = { name, id, ttlMs };
      return (await core.ask('ExtendLive', { request, of: ExtendLiveRequest, reply: ExtendLiveReply })).extended;
    });
    const end = async (): Promise<void> => {
      lease.end();
      await core.change('DeleteLive', { request: { name, id }, of: DeleteLiveRequest, reply: DeleteLiveReply });
    };
    return Object.assign(new NetworkFileSystem(name, choiceOf(options), null), { [Symbol.asyncDispose]: end });
  }

  /** By name. @throws Unavailable */
  static async list(options: CallChoice = {}): Promise<NetworkFileSystem[]> {
    const { client, limits } = chosen('NetworkFileSystem.list', options);
    const question = { request: {}, of: ListLiveNamesRequest, reply: ListLiveNamesReply };
    const { names } = await client.ask('ListLiveNames', question, limits);
    return names.sort().map((name) => new NetworkFileSystem(name, choiceOf(options), null));
  }

  /** The same at a path, for `volumes` of a class or sandbox. @throws InvalidArgument */
  mountedAt(path: string): NetworkFileSystem {
    const options = { ...this.#choice, createIfMissing: this.#isMadeIfMissing };
    return new NetworkFileSystem(this.name, options, checkedMountPath(path));
  }

  [mountable](): Omit<LiveMountReference, 'path'> {
    return { networkFileSystem: this.name, createIfMissing: this.#isMadeIfMissing, readOnly: false };
  }

  /** The file that has the path when the reading begins; what is written into it meanwhile is seen. @throws NotFound, FileNotFound, InvalidArgument */
  async *readFile(path: string, options: CallLimits = {}): AsyncGenerator<Uint8Array, void, undefined> {
    parsePath(path); // who is asked would take anything for a text
    const { core, limits } = await this.#made('readFile', options);
    let ino = '';
    for (let offset = 0; ; ) {
      const request = { name: this.name, path, ino, offset, length: pieceBytes };
      const piece = await core.ask('ReadLive', { request, of: ReadLiveRequest, reply: ReadLiveReply }, limits);
      if (piece.bytes.length === 0) return;
      yield piece.bytes;
      ino = piece.ino;
      offset += piece.bytes.length;
    }
  }

  /** Seen at once, whole, in place of the file of that path; directories on the way are made. @throws NotFound, InvalidArgument */
  async writeFile(
    path: string,
    content: string | Bytes | AsyncIterable<Bytes>,
    options: CallLimits = {},
  ): Promise<void> {
    parsePath(path); // who is asked would take anything for a text
    const { core, limits } = await this.#made('writeFile', options);
    let ino = '';
    let offset = 0;
    for await (const { bytes, isLast: finish } of cutContent(content, pieceBytes)) {
      const request = { name: this.name, path, ino, offset, bytes, finish };
      ({ ino } = await core.change('WriteLive', { request, of: WriteLiveRequest, reply: WriteLiveReply }, limits));
      offset += bytes.length;
    }
  }

  /** In the order of paths, which are relative to the root. @throws NotFound, FileNotFound, InvalidArgument */
  async listdir(path = '', options: { readonly recursive?: boolean } & CallLimits = {}): Promise<FileStat[]> {
    parsePath(path);
    const made = await this.#made('listdir', options, volumeChecks.recursive);
    const found = await this.#listed(path, made);
    return options.recursive ? await this.#withAllBelow(found, made) : inOrder(found);
  }

  /** Also a directory: with nothing in it, unless recursively. @throws NotFound, FileNotFound, InvalidArgument */
  async removeFile(path: string, options: { readonly recursive?: boolean } & CallLimits = {}): Promise<void> {
    const { length: depth } = parsePath(path);
    const made = await this.#made('removeFile', options, volumeChecks.recursive);
    // The root stays, and with it what it has.
    if (options.recursive && depth > 0) {
      const found = (await unlessRefused('InvalidArgument', this.#listed(path, made))) ?? [];
      // The deepest first: a path comes after that of its directory.
      for (const { path: below } of (await this.#withAllBelow(found, made)).reverse())
        await unlessRefused('FileNotFound', this.#removed(below, made));
    }
    await this.#removed(path, made);
  }

  /** With all that it holds, for every mount too. @throws PermissionDenied, Unavailable */
  async delete(options: CallChoice = {}): Promise<{ readonly deleted: boolean }> {
    const what = `the deletion of network file system ${this.name}`;
    const { client, limits } = chosen(what, { ...this.#choice, ...options, ...choiceOf(options) });
    const change = { request: { name: this.name, id: '' }, of: DeleteLiveRequest, reply: DeleteLiveReply };
    const { deleted } = await client.change('DeleteLive', change, limits);
    return { deleted };
  }

  async #listed(path: string, { core, limits }: Made): Promise<FileStat[]> {
    const question = { request: { name: this.name, path }, of: ListLiveRequest, reply: ListLiveReply };
    const { entries } = await core.ask('ListLive', question, limits);
    const above = path.split('/').filter((name) => name !== '' && name !== '.');
    return entries.map(({ name, type, size, mode, modifiedAtMs }) => ({
      path: [...above, name].join('/'),
      type: type as FileStat['type'],
      ...{ size, mode, modifiedAt: new Date(modifiedAtMs) },
    }));
  }

  async #withAllBelow(found: FileStat[], made: Made): Promise<FileStat[]> {
    // What is in a directory comes to the end, and has its turn there; one that was removed meanwhile has nothing.
    for (const { path, type } of found)
      if (type === 'directory') found.push(...((await unlessRefused('FileNotFound', this.#listed(path, made))) ?? []));
    return inOrder(found);
  }

  async #removed(path: string, { core, limits }: Made): Promise<void> {
    const request = { name: this.name, path };
    await core.change('RemoveLive', { request, of: RemoveLiveRequest, reply: RemoveLiveReply }, limits);
  }

  async #made(method: string, options: CallLimits, checks: Readonly<Record<string, Check>> = {}): Promise<Made> {
    const what = `${method} of network file system ${this.name}`;
    checkOptions(what, options, { ...limitChecks, ...checks });
    const core = chooseClient(this.#choice);
    const limits = Limits.of(core.clock, what, options);
    const make = { request: { name: this.name, ttlMs: 0 }, of: MakeLiveRequest, reply: MakeLiveReply };
    if (this.#isMadeIfMissing) await core.ask('MakeLive', make, limits);
    return { core, limits };
  }
}

/** The client of one call, its file system being there, and how long the call may take. */
interface Made {
  readonly core: ClientCore;
  readonly limits: Limits | undefined;
}

function inOrder(stats: FileStat[]): FileStat[] {
  return stats.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Undefined where it is refused with that. */
async function unlessRefused<T>(code: ErrorCode, work: Promise<T>): Promise<T | undefined> {
  return await work.catch((error: unknown) => {
    if (isHoldfastError(error, code)) return undefined;
    throw error;
  });
}
