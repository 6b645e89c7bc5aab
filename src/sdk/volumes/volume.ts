import { ulid } from 'ulid';
import { checkOptions } from '../../common/check-options.js';
import { expected } from '../../common/option-checks.js';
import type { VolumeRecord } from '../../common/ports/volume-store.js';
import {
  checkedMountOptions,
  checkedMountPath,
  type Mountable,
  type MountOptions,
  mountable,
  type VolumeBackend,
  type VolumeMountReference,
} from '../../common/volume-mounts.js';
import { readContent } from '../../common/volumes/content.js';
import { parsePath } from '../../common/volumes/paths.js';
import { checkedVolumeName } from '../../common/volumes/volume-name.js';
import { ListVolumesReply, ListVolumesRequest } from '../../wire/gen/holdfast/v1/router.js';
import { volumeOf } from '../../wire/volume-views.js';
import { type CallLimits, limitChecks, limitsApart } from '../calls/call-limits.js';
import { type CallChoice, checkChoice, chosen } from '../client-choice.js';
import type { ClientChoice } from '../infos.js';
import type { Bytes, FileStat } from '../sandbox/types.js';
import type { ArchiveSource } from './archive.js';
import { EphemeralVolume } from './ephemeral.js';
import { uploadTrees } from './local-tree.js';
import { askMount, commitMount, reloadMount } from './mounted-volume.js';
import type { LocalFile } from './upload-files.js';
import { VolumeAccess } from './volume-access.js';
import { callFiles, callVolume, type NamedVolume, openFiles, volumeChecks } from './volume-calls.js';
import { checkedPath, copying, removing, writing } from './volume-changes.js';
import { checkedDeclaration, choiceOf, declarationOf, whenMissing } from './volume-declaration.js';
import { branchOff, differences, historyOf, restoreCommit } from './volume-history.js';
import type { MountCommitOptions, VolumeChange, VolumeCommit, VolumeCreateOptions } from './volume-infos.js';
import { existingFile, listed } from './volume-tree.js';

/**
 * Files under a name, which outlive all that uses them, with their history. Every change is one commit: all of it is there
 * afterwards, or nothing. Changes of different paths that are made at once merge; of the same path the last one stands.
 */
export class Volume implements Mountable {
  readonly name: string;
  readonly #named: NamedVolume;
  /** Its mounts are copies of their own unless they say otherwise. */
  #isCopied = false;
  /** Null: it was not taken from a mount. */
  #mountedHere: string | null = null;
  #mount: { readonly path: string | null } & MountOptions = { path: null };

  private constructor(name: string, options: VolumeCreateOptions, isMadeIfMissing: boolean) {
    this.name = checkedVolumeName(name);
    this.#named = { name, declared: checkedDeclaration(name, options), choice: choiceOf(options), isMadeIfMissing };
  }

  /** Names one; it is looked up, or made, when it is first used. @throws InvalidArgument */
  static fromName(
    name: string,
    options: VolumeCreateOptions & { readonly createIfMissing?: boolean; readonly mountPath?: string } = {},
  ): Volume {
    const { mountPath, createIfMissing = false, ...rest } = options;
    checkOptions(`volume ${name}`, { createIfMissing }, { createIfMissing: expected.boolean });
    const volume = new Volume(name, { ...rest, ...choiceOf(options) }, createIfMissing);
    return mountPath === undefined ? volume : volume.mountedAt(mountPath);
  }

  /** One in the object store, made when it is first used. @throws InvalidArgument */
  static cloud(name: string, options: { readonly mountPath?: string } = {}): Volume {
    return Volume.fromName(name, { ...options, createIfMissing: true });
  }

  /** One of a host, to which its first placement binds it; made when it is first used. @throws InvalidArgument */
  static vastLocal(name: string, options: { readonly sizeGb: number; readonly mountPath?: string }): Volume {
    return Volume.fromName(name, { ...options, backend: 'vast_local', createIfMissing: true });
  }

  /**
   * One with the files of an archive (tar or tar.gz: a path of this machine, or bytes), uploaded once. Mounted, it is a private
   * copy unless the mount says otherwise; bytes come to a host when they are read, once for all copies.
   *
   * @throws AlreadyExists where a volume of that name has other files; InvalidArgument for entries that would leave the root,
   * FileNotFound, PayloadTooLarge
   */
  static async fromArchive(
    name: string,
    tar: ArchiveSource,
    options: VolumeCreateOptions & CallLimits = {},
  ): Promise<Volume> {
    const { limits, rest } = limitsApart(options);
    const volume = new Volume(name, rest, false);
    volume.#isCopied = true;
    // Read by those who make one only, which hardly any container does.
    const { makeFromArchive } = await import('./archive-volume.js');
    const call = { method: 'fromArchive', options: limits };
    const make = (access: VolumeAccess) => makeFromArchive(access, { name, source: tar }, volume.#named.declared);
    await callVolume(volume.#named, call, make);
    return volume;
  }

  /** The volume at a path of the container that this runs in. @throws InvalidArgument where there is none */
  static async fromMount(path: string, options: CallLimits = {}): Promise<Volume> {
    checkOptions('Volume.fromMount', options, limitChecks);
    const volume = new Volume(await askMount(['name', path], options), {}, false);
    volume.#mountedHere = path;
    return volume;
  }

  /**
   * Publishes what this mount changed, and gives the id of the commit; paths merge, the same path goes to the last writer.
   * Where nothing has changed since the last commit that one's id, but with a new `message` a commit that says it.
   *
   * @throws CommitConflict with `onConflict: 'fail'`, PayloadTooLarge, InvalidArgument for one that `fromMount` did not give
   */
  async commit(options: MountCommitOptions = {}): Promise<string> {
    return await commitMount({ path: this.#mountedHere, name: this.name }, options);
  }

  /** Shows the latest commit, whose id it gives. @throws CommitConflict where changes would be lost, unless forced */
  async reload(options: { readonly force?: boolean } & CallLimits = {}): Promise<string> {
    return await reloadMount({ path: this.#mountedHere, name: this.name }, options);
  }

  /** Where containers and sessions find it, unless they name another path; null: only where they do. */
  get mountPath(): string | null {
    return this.#mount.path ?? this.#named.declared.mountPathDefault ?? null;
  }

  /** Where its files are: in the object store, or in a folder of one host. */
  get backend(): VolumeBackend {
    return this.#named.declared.backend;
  }

  /** The same volume at a path, for `volumes` of a class or sandbox. @throws InvalidArgument */
  mount(path: string, options: MountOptions = {}): Volume {
    return this.mountedAt(path, options);
  }

  /** The same as `mount`. @throws InvalidArgument */
  mountedAt(path: string, options: MountOptions = {}): Volume {
    const { choice, declared, isMadeIfMissing } = this.#named;
    const volume = new Volume(this.name, { ...choice, ...declared }, isMadeIfMissing);
    volume.#isCopied = this.#isCopied;
    volume.#mount = { path: checkedMountPath(path), ...options };
    volume.#mountOptions();
    return volume;
  }

  [mountable](): Omit<VolumeMountReference, 'path'> {
    const { declared, isMadeIfMissing } = this.#named;
    return {
      volume: this.name,
      ...(isMadeIfMissing ? { whenMissing: whenMissing(declared) } : {}),
      ...this.#mountOptions(),
    };
  }

  #mountOptions(): Required<MountOptions> {
    const { path: _, ...options } = this.#mount;
    return checkedMountOptions(this.#isCopied ? { mode: 'private', ...options } : options);
  }

  /** @throws AlreadyExists where the name is taken, InvalidArgument, PermissionDenied */
  static async create(name: string, options: VolumeCreateOptions & CallLimits = {}): Promise<Volume> {
    const { limits, rest } = limitsApart(options);
    const volume = new Volume(name, rest, false);
    const call = { method: 'create', options: limits };
    await callVolume(volume.#named, call, (access) => access.createNew(name, volume.#named.declared));
    return volume;
  }

  /**
   * One of a fresh name, deleted with all it holds when it is disposed: `await using v = await Volume.ephemeral()`. Where the
   * client dies or is closed it is gone half a minute later.
   */
  static async ephemeral(
    options: { readonly prefix?: string; readonly mountPath?: string } & CallChoice = {},
  ): Promise<Volume & AsyncDisposable> {
    const { client, limits } = chosen('Volume.ephemeral', options, volumeChecks.ephemeral);
    const { prefix = 'ephemeral', mountPath } = options;
    const name = `${prefix}-${ulid(client.clock.now()).toLowerCase()}`;
    const volume = Volume.fromName(name, { ...choiceOf(options), ...(mountPath !== undefined && { mountPath }) });
    const lease = await EphemeralVolume.make(VolumeAccess.of(client, limits), volume.name);
    return Object.assign(volume, { [Symbol.asyncDispose]: () => lease.end() });
  }

  /** One that is there. @throws NotFound, unless it is to be made */
  static async get(name: string, options: CallChoice & { readonly mintIfMissing?: boolean } = {}): Promise<Volume> {
    checkChoice('Volume.get', options, volumeChecks.get);
    const volume = new Volume(name, choiceOf(options), options.mintIfMissing ?? false);
    const call = { method: 'get', options: limitsApart(options).limits };
    const found = await callFiles(volume.#named, call, (access) => access.found(name));
    return Volume.#of(found.volume, options);
  }

  /** By name. */
  static async list(options: CallChoice = {}): Promise<Volume[]> {
    const { client, limits } = chosen('Volume.list', options);
    const question = { request: {}, of: ListVolumesRequest, reply: ListVolumesReply };
    const { volumes } = await client.ask('ListVolumes', question, limits);
    return volumes.map((view) => Volume.#of(volumeOf(view), options));
  }

  static #of(record: VolumeRecord, choice: ClientChoice): Volume {
    return new Volume(record.name, { ...choiceOf(choice), ...declarationOf(record) }, false);
  }

  /** With its history. What is being read of it can still be read. @throws PermissionDenied, Unavailable */
  async delete(options: CallChoice = {}): Promise<{ readonly deleted: boolean }> {
    const given = { ...this.#named.choice, ...options, ...choiceOf(options) };
    const { client, limits } = chosen(`the deletion of volume ${this.name}`, given);
    return { deleted: await VolumeAccess.of(client, limits).delete({ name: this.name, id: '' }) };
  }

  /** A file as it is when the reading begins. @throws NotFound, FileNotFound, InvalidArgument for what is no file */
  async *readFile(path: string, options: CallLimits = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const at = checkedPath(path);
    const access = await openFiles(this.#named, { method: 'readFile', options });
    await using state = await access.holdHead(this.name);
    yield* readContent(state.reader, await existingFile(state, at));
  }

  /** Directories on the way are made. @throws NotFound, InvalidArgument, PayloadTooLarge above `sizeGb` */
  async writeFile(
    path: string,
    content: string | Bytes | AsyncIterable<Bytes>,
    options: CallLimits = {},
  ): Promise<void> {
    await callFiles(this.#named, { method: 'writeFile', options }, async (access) => {
      const build = writing(this.name, path, { content, nowMs: access.core.clock.now() });
      await access.commit(this.name, { message: `write ${path}`, build });
    });
  }

  /** In the order of paths, which are relative to the volume's root. @throws NotFound, FileNotFound, InvalidArgument */
  async listdir(path = '', options: { readonly recursive?: boolean } & CallLimits = {}): Promise<FileStat[]> {
    const at = parsePath(path);
    const list = async (access: VolumeAccess): Promise<FileStat[]> => {
      await using state = await access.holdHead(this.name);
      return await listed(state, at, options.recursive ?? false);
    };
    return await callFiles(this.#named, { method: 'listdir', options, checks: volumeChecks.recursive }, list);
  }

  /** @throws NotFound, FileNotFound, InvalidArgument for a directory that is not removed recursively */
  async removeFile(path: string, options: { readonly recursive?: boolean } & CallLimits = {}): Promise<void> {
    const call = { method: 'removeFile', options, checks: volumeChecks.recursive };
    await callFiles(this.#named, call, async (access) => {
      const build = removing(this.name, path, options.recursive ?? false);
      await access.commit(this.name, { message: `remove ${path}`, build });
    });
  }

  /** Within the volume, directories with all that is in them; no bytes are moved. @throws NotFound, FileNotFound, InvalidArgument */
  async copyFiles(from: readonly string[], to: string, options: CallLimits = {}): Promise<void> {
    await callFiles(this.#named, { method: 'copyFiles', options }, async (access) => {
      const build = copying(this.name, { from, to }, access.core.clock.now());
      await access.commit(this.name, { message: `copy ${from.join(', ')} to ${to}`.slice(0, 200), build });
    });
  }

  /**
   * Files, links and directories with all that is in them, of this machine, as one commit, whose id it gives; of no files the newest
   * there is. What is in the object store already is not sent, so that one that broke off goes on where it was.
   *
   * @param options.onProgress called with bytes
   * @throws NotFound, FileNotFound, InvalidArgument, PayloadTooLarge
   */
  async batchUpload(
    files: Iterable<LocalFile>,
    options: { readonly onProgress?: (done: number, total: number) => void } & CallLimits = {},
  ): Promise<string> {
    const { onProgress, signal } = options;
    const upload = (access: VolumeAccess) => uploadTrees(access, { name: this.name, files }, { onProgress, signal });
    const call = { method: 'batchUpload', options, checks: volumeChecks.upload };
    return (await callFiles(this.#named, call, upload)).commitId;
  }

  /** Newest first. @param options.limit default 100. @throws NotFound */
  async history(options: { readonly limit?: number } & CallLimits = {}): Promise<VolumeCommit[]> {
    const read = (access: VolumeAccess) => historyOf(access, this.name, options.limit);
    return await callFiles(this.#named, { method: 'history', options, checks: volumeChecks.history }, read);
  }

  /** What changed from one commit to another, by default the newest; times alone are no change. @throws NotFound */
  async diff(from: string, to?: string, options: CallLimits = {}): Promise<VolumeChange[]> {
    const compare = (access: VolumeAccess) => differences(access, this.name, { from, to: to ?? null });
    return await callFiles(this.#named, { method: 'diff', options }, compare);
  }

  /** Makes the state of an older commit the newest one, as a commit of its own, whose id it gives. @throws NotFound */
  async restore(commitId: string, options: CallLimits = {}): Promise<string> {
    const restore = (access: VolumeAccess) => restoreCommit(access, this.name, commitId);
    return await callFiles(this.#named, { method: 'restore', options }, restore);
  }

  /** A new volume that shares all bytes with this one, or with an older state of it. @throws AlreadyExists, NotFound */
  async branch(name: string, options: { readonly at?: string } & CallLimits = {}): Promise<Volume> {
    const branch = (access: VolumeAccess) => branchOff(access, this.name, { to: name, at: options.at });
    const call = { method: 'branch', options, checks: volumeChecks.branch };
    return Volume.#of(await callFiles(this.#named, call, branch), this.#named.choice);
  }
}
