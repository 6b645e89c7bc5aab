import { ulid } from 'ulid';
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
import { chooseClient } from '../client-choice.js';
import type { ClientChoice } from '../infos.js';
import type { Bytes, FileStat } from '../sandbox/types.js';
import type { ArchiveSource } from './archive.js';
import { EphemeralVolume } from './ephemeral.js';
import { askMount, commitMount, reloadMount } from './mounted-volume.js';
import { uploadFiles } from './upload-files.js';
import { type NewState, VolumeAccess } from './volume-access.js';
import { checkedPath, copying, removing, writing } from './volume-changes.js';
import {
  checkedDeclaration,
  choiceOf,
  declarationOf,
  type VolumeDeclaration,
  whenMissing,
} from './volume-declaration.js';
import { differences, historyOf, takeOver } from './volume-history.js';
import type { MountCommitOptions, VolumeChange, VolumeCommit, VolumeCreateOptions } from './volume-infos.js';
import { existingFile, listed } from './volume-tree.js';

/**
 * Files under a name, which outlive all that uses them, with their history. Every change is one commit: all of it is there
 * afterwards, or nothing. Changes of different paths that are made at once merge; of the same path the last one stands.
 */
export class Volume implements Mountable {
  readonly name: string;
  readonly #choice: ClientChoice;
  readonly #declared: VolumeDeclaration;
  readonly #isMadeIfMissing: boolean;
  /** Its mounts are copies of their own unless they say otherwise. */
  #isCopied = false;
  /** Null: it was not taken from a mount. */
  #mountedHere: string | null = null;
  #mount: { readonly path: string | null } & MountOptions = { path: null };

  private constructor(name: string, options: VolumeCreateOptions, isMadeIfMissing: boolean) {
    this.name = checkedVolumeName(name);
    this.#choice = choiceOf(options);
    this.#declared = checkedDeclaration(name, options);
    this.#isMadeIfMissing = isMadeIfMissing;
  }

  /** Names one; it is looked up, or made, when it is first used. @throws InvalidArgument */
  static fromName(
    name: string,
    options: VolumeCreateOptions & { readonly createIfMissing?: boolean; readonly mountPath?: string } = {},
  ): Volume {
    const { mountPath, createIfMissing = false, ...rest } = options;
    const volume = new Volume(name, rest, createIfMissing);
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
  static async fromArchive(name: string, tar: ArchiveSource, options: VolumeCreateOptions = {}): Promise<Volume> {
    const volume = new Volume(name, options, false);
    volume.#isCopied = true;
    // Read by those who make one only, which hardly any container does.
    const { makeFromArchive } = await import('./archive-volume.js');
    await makeFromArchive(volume.#access, { name, source: tar }, volume.#declared);
    return volume;
  }

  /** The volume at a path of the container that this runs in. @throws InvalidArgument where there is none */
  static async fromMount(path: string): Promise<Volume> {
    const volume = new Volume(await askMount(['name', path]), {}, false);
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
  async reload(options: { readonly force?: boolean } = {}): Promise<string> {
    return await reloadMount({ path: this.#mountedHere, name: this.name }, options.force === true);
  }

  /** Where containers and sessions find it, unless they name another path; null: only where they do. */
  get mountPath(): string | null {
    return this.#mount.path ?? this.#declared.mountPathDefault ?? null;
  }

  /** Where its files are: in the object store, or in a folder of one host. */
  get backend(): VolumeBackend {
    return this.#declared.backend;
  }

  /** The same volume at a path, for `volumes` of a class or sandbox. @throws InvalidArgument */
  mount(path: string, options: MountOptions = {}): Volume {
    return this.mountedAt(path, options);
  }

  /** The same as `mount`. @throws InvalidArgument */
  mountedAt(path: string, options: MountOptions = {}): Volume {
    const volume = new Volume(this.name, { ...this.#choice, ...this.#declared }, this.#isMadeIfMissing);
    volume.#isCopied = this.#isCopied;
    volume.#mount = { path: checkedMountPath(path), ...options };
    volume.#mountOptions();
    return volume;
  }

  [mountable](): Omit<VolumeMountReference, 'path'> {
    return {
      volume: this.name,
      ...(this.#isMadeIfMissing ? { whenMissing: whenMissing(this.#declared) } : {}),
      ...this.#mountOptions(),
    };
  }

  #mountOptions(): Required<MountOptions> {
    const { path: _, ...options } = this.#mount;
    return checkedMountOptions(this.#isCopied ? { mode: 'private', ...options } : options);
  }

  /** @throws AlreadyExists where the name is taken, InvalidArgument, PermissionDenied */
  static async create(name: string, options: VolumeCreateOptions = {}): Promise<Volume> {
    const volume = new Volume(name, options, false);
    await volume.#access.createNew(name, volume.#declared);
    return volume;
  }

  /**
   * One of a fresh name, deleted with all it holds when it is disposed: `await using v = await Volume.ephemeral()`. Where the
   * client dies or is closed it is gone half a minute later.
   */
  static async ephemeral(
    options: { readonly prefix?: string; readonly mountPath?: string } & ClientChoice = {},
  ): Promise<Volume & AsyncDisposable> {
    const { prefix = 'ephemeral', mountPath, ...choice } = options;
    const { clock } = chooseClient(choice);
    const name = `${prefix}-${ulid(clock.now()).toLowerCase()}`;
    const volume = Volume.fromName(name, { ...choice, ...(mountPath !== undefined && { mountPath }) });
    const lease = await EphemeralVolume.make(volume.#access, volume.name);
    return Object.assign(volume, { [Symbol.asyncDispose]: () => lease.end() });
  }

  /** One that is there. @throws NotFound, unless it is to be made */
  static async get(name: string, options: ClientChoice & { readonly mintIfMissing?: boolean } = {}): Promise<Volume> {
    const volume = new Volume(name, options, options.mintIfMissing ?? false);
    const access = await volume.#made();
    return Volume.#of((await access.found(name)).volume, options);
  }

  /** By name. */
  static async list(options: ClientChoice = {}): Promise<Volume[]> {
    const question = { request: {}, of: ListVolumesRequest, reply: ListVolumesReply };
    const { volumes } = await chooseClient(options).ask('ListVolumes', question);
    return volumes.map((view) => Volume.#of(volumeOf(view), options));
  }

  static #of(record: VolumeRecord, choice: ClientChoice): Volume {
    return new Volume(record.name, { ...choiceOf(choice), ...declarationOf(record) }, false);
  }

  /** With its history. What is being read of it can still be read. @throws PermissionDenied, Unavailable */
  async delete(options: ClientChoice = this.#choice): Promise<{ readonly deleted: boolean }> {
    return { deleted: await VolumeAccess.of(chooseClient(options)).delete({ name: this.name, id: '' }) };
  }

  /** A file as it is when the reading begins. @throws NotFound, FileNotFound, InvalidArgument for what is no file */
  async *readFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const at = checkedPath(path);
    const access = await this.#made();
    await using state = await access.holdHead(this.name);
    yield* readContent(state.reader, await existingFile(state, at));
  }

  /** Directories on the way are made. @throws NotFound, InvalidArgument, PayloadTooLarge above `sizeGb` */
  async writeFile(path: string, content: string | Bytes | AsyncIterable<Bytes>): Promise<void> {
    const access = await this.#made();
    const { clock } = access.core;
    const build = writing(this.name, path, { content, nowMs: clock.now() });
    await access.commit(this.name, { message: `write ${path}`, build });
  }

  /** In the order of paths, which are relative to the volume's root. @throws NotFound, FileNotFound, InvalidArgument */
  async listdir(path = '', options: { readonly recursive?: boolean } = {}): Promise<FileStat[]> {
    const at = parsePath(path);
    const access = await this.#made();
    await using state = await access.holdHead(this.name);
    return await listed(state, at, options.recursive ?? false);
  }

  /** @throws NotFound, FileNotFound, InvalidArgument for a directory that is not removed recursively */
  async removeFile(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
    await this.#commit(`remove ${path}`, removing(this.name, path, options.recursive ?? false));
  }

  /** Within the volume, directories with all that is in them; no bytes are moved. @throws NotFound, FileNotFound, InvalidArgument */
  async copyFiles(from: readonly string[], to: string): Promise<void> {
    const { clock } = chooseClient(this.#choice);
    await this.#commit(`copy ${from.join(', ')} to ${to}`.slice(0, 200), copying(this.name, { from, to }, clock.now()));
  }

  /**
   * Files, directories and links of this machine, as one commit, whose id it gives. What is in the object store already is not
   * sent, so that one that broke off goes on where it was.
   *
   * @param options.onProgress called with bytes
   * @throws NotFound, FileNotFound, InvalidArgument, PayloadTooLarge
   */
  async batchUpload(
    files: Iterable<{ readonly local: string; readonly remote: string }>,
    options: { readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<string> {
    const { onProgress } = options;
    const { commit } = await uploadFiles(await this.#made(), { name: this.name, files }, { onProgress });
    return commit.id;
  }

  /** Newest first. @param options.limit default 100. @throws NotFound */
  async history(options: { readonly limit?: number } = {}): Promise<VolumeCommit[]> {
    return await historyOf(await this.#made(), this.name, options.limit);
  }

  /** What changed from one commit to another, by default the newest; times alone are no change. @throws NotFound */
  async diff(from: string, to?: string): Promise<VolumeChange[]> {
    return await differences(await this.#made(), this.name, { from, to: to ?? null });
  }

  /** Makes the state of an older commit the newest one, as a commit of its own, whose id it gives. @throws NotFound */
  async restore(commitId: string): Promise<string> {
    const access = await this.#made();
    const from = await access.found(this.name);
    const commit = await access.commitOf(from, commitId);
    return await takeOver(access, { from, commit, to: this.name, message: `restore ${commitId}` });
  }

  /** A new volume that shares all bytes with this one, or with an older state of it. @throws AlreadyExists, NotFound */
  async branch(name: string, options: { readonly at?: string } = {}): Promise<Volume> {
    const access = await this.#made();
    const from = await access.found(this.name);
    const commit = options.at === undefined ? from.head : await access.commitOf(from, options.at);
    const { sizeGb } = from.volume;
    const made = await Volume.create(name, { ...choiceOf(this.#choice), ...(sizeGb !== null && { sizeGb }) });
    if (commit === null) return made;
    try {
      await takeOver(access, { from, commit, to: name, message: `branch of ${this.name} at ${commit.id}` });
      return made;
    } catch (error) {
      // Without its files it is nobody's branch. What fails here, too, is left to be deleted by hand.
      await made.delete().catch(() => undefined);
      throw error;
    }
  }

  get #access(): VolumeAccess {
    return VolumeAccess.of(chooseClient(this.#choice));
  }

  async #made(): Promise<VolumeAccess> {
    const access = this.#access;
    if (this.#isMadeIfMissing) await access.create(this.name, this.#declared);
    return access;
  }

  async #commit(message: string, build: NewState['build']): Promise<void> {
    const access = await this.#made();
    await access.commit(this.name, { message, build });
  }
}
