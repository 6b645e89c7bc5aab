import { LRUCache } from 'lru-cache';
import { ulid } from 'ulid';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { CommitRecord, HeldCommit, VolumeRecord } from '../../common/ports/volume-store.js';
import { Turns } from '../../common/turns.js';
import {
  type CommitParts,
  type Committed,
  commitVolume,
  rootOf,
  type TreeBuilder,
} from '../../common/volumes/commit.js';
import type { DirectoryEntry } from '../../common/volumes/entry.js';
import { KeptHold } from '../../common/volumes/hold.js';
import { ObjectReader } from '../../common/volumes/object-reader.js';
import { checkedVolumeName } from '../../common/volumes/volume-name.js';
import {
  CreateVolumeReply,
  CreateVolumeRequest,
  DeleteVolumeReply,
  DeleteVolumeRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { volumeOf } from '../../wire/volume-views.js';
import type { Limits } from '../calls/call-limits.js';
import type { ClientCore } from '../sessions/client-core.js';
import { remoteObjects } from './remote-objects.js';
import { foundVolume, remoteHolds, remoteVolumes } from './remote-store.js';
import type { VolumeDeclaration } from './volume-declaration.js';

/** The router knows the account by the token; here it is only a part of keys that nobody else sees. */
const ownAccount = 'own';
const historyPage = 1_000;

/** A volume as it was found. */
export interface FoundVolume {
  readonly volume: VolumeRecord;
  /** Null: nothing was committed yet. */
  readonly head: CommitRecord | null;
}

/** A state of a volume that stays readable for as long as it is held. */
export interface HeldState {
  readonly name: string;
  readonly root: DirectoryEntry;
  readonly reader: ObjectReader;
}

export interface NewVolume extends Partial<VolumeDeclaration> {
  /** It goes when its lease was not extended for so long; 0: it stays. */
  readonly ttlMs?: number;
}

export interface NewState {
  readonly message: string;
  readonly onConflict?: 'last-writer-wins' | 'fail';
  /** Of which it takes something over, beside the head. */
  readonly source?: HeldCommit;
  /** Makes the new root of the head's. */
  readonly build: (root: DirectoryEntry, builder: TreeBuilder) => Promise<DirectoryEntry>;
}

const known = new WeakMap<ClientCore, VolumeAccess>();
/** Of volumes; one that is forgotten while it is used costs tries. */
const maxTurns = 1_000;

/** The volumes of an account, from a client: what it reads is checked by its hash here, and what it commits is built here. */
export class VolumeAccess {
  readonly core: ClientCore;
  readonly reader: ObjectReader;
  readonly #limits: Limits | undefined;
  readonly #parts: CommitParts;
  readonly #volumes: ReturnType<typeof remoteVolumes>;
  /** By name of the volume. */
  readonly #turns: LRUCache<string, Turns>;

  /** The one of a client; with limits, one for a single call. */
  static of(core: ClientCore, limits?: Limits): VolumeAccess {
    const access = known.get(core) ?? new VolumeAccess(core);
    known.set(core, access);
    return limits === undefined ? access : new VolumeAccess(core, { limits, like: access });
  }

  private constructor(core: ClientCore, of?: { readonly limits: Limits; readonly like: VolumeAccess }) {
    const { clock } = core;
    const objects = remoteObjects(core, of?.limits);
    this.core = core;
    this.#limits = of?.limits;
    this.reader = new ObjectReader({ objects, account: ownAccount, clock, ...(of && { like: of.like.reader }) });
    this.#turns = of === undefined ? new LRUCache({ max: maxTurns }) : of.like.#turns;
    this.#volumes = remoteVolumes(core, of?.limits);
    this.#parts = {
      ...{ volumes: this.#volumes, holds: remoteHolds(core, of?.limits) },
      ...{ objects, reader: this.reader, clock },
    };
  }

  /** Makes one, or tells who has the name. */
  async create(
    name: string,
    { backend = 'cloud_bucket', sizeGb, mountPathDefault, geolocation = [], ttlMs = 0 }: NewVolume = {},
  ): Promise<{ readonly created: boolean; readonly volume: VolumeRecord }> {
    // The id makes it the same volume where the request is sent again.
    const request: CreateVolumeRequest = {
      ...{ name: checkedVolumeName(name), id: ulid(this.core.clock.now()), backend },
      ...{ sizeGb, mountPathDefault, geolocation: [...geolocation], ttlMs },
    };
    const question = { request, of: CreateVolumeRequest, reply: CreateVolumeReply };
    const { created, volume } = await this.core.ask('CreateVolume', question, this.#limits);
    if (volume === undefined) throw new HoldfastError('Internal', `the router made volume ${name} without telling it`);
    return { created, volume: volumeOf(volume) };
  }

  /** @throws AlreadyExists where the name is taken */
  async createNew(name: string, options: NewVolume): Promise<VolumeRecord> {
    const { created, volume } = await this.create(name, options);
    if (created) return volume;
    throw new HoldfastError('AlreadyExists', `there is a volume ${name} already`, { details: { name } });
  }

  /** @param id '': whichever has the name. @throws PermissionDenied, Unavailable */
  async delete({ name, id }: { readonly name: string; readonly id: string }): Promise<boolean> {
    const change = { request: { name, id }, of: DeleteVolumeRequest, reply: DeleteVolumeReply };
    return (await this.core.change('DeleteVolume', change, this.#limits)).deleted;
  }

  /** @throws NotFound */
  async found(name: string): Promise<FoundVolume> {
    return await foundVolume(this.#volumes, checkedVolumeName(name));
  }

  /** Newest first. */
  async *history({ volume }: FoundVolume): AsyncGenerator<CommitRecord, void, undefined> {
    for (let after: string | null = null; ; ) {
      const page = await this.#volumes.commits('', volume.id, { limit: historyPage, after });
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < historyPage) return;
      after = last.id;
    }
  }

  /** @throws NotFound, also for a commit of another volume */
  async commitOf({ volume }: FoundVolume, commitId: string): Promise<CommitRecord> {
    const commit = await this.#volumes.commit('', volume.id, commitId);
    if (commit !== null) return commit;
    throw new HoldfastError(
      'NotFound',
      `volume ${volume.name} has no commit ${commitId}: \`holdfast volume history ${volume.name}\` shows those that it has`,
    );
  }

  /** The newest state, kept from sweeps until it is released. @throws NotFound */
  async holdHead(name: string): Promise<HeldState & AsyncDisposable> {
    return await this.#onHead(name, (found) => this.hold(found, found.head));
  }

  /** @throws NotFound where the commit is not in the history any more */
  async hold({ volume }: FoundVolume, commit: CommitRecord | null): Promise<HeldState & AsyncDisposable> {
    const { clock, holds } = this.#parts;
    ofObjectStore(volume);
    const held = commit === null ? null : { volumeId: volume.id, commitId: commit.id };
    const hold = held && (await KeptHold.take({ holds, clock, account: ownAccount }, ulid(clock.now()), held));
    return {
      ...{ name: volume.name, root: rootOf(commit, clock.now()), reader: this.reader },
      [Symbol.asyncDispose]: async () => await hold?.release(),
    };
  }

  /** Publishes a new state on the newest one. @throws CommitConflict, PayloadTooLarge, NotFound, Unavailable */
  async commit(
    name: string,
    { build, source, message, onConflict = 'last-writer-wins' }: NewState,
  ): Promise<Committed> {
    const { keepAlive } = this.core;
    const turns = this.#turns.get(name) ?? new Turns(1);
    this.#turns.set(name, turns);
    const make = { build, options: { message, onConflict, turns } };
    const publish = ({ volume, head }: FoundVolume) =>
      commitVolume(
        this.#parts,
        { volume: ofObjectStore(volume), base: head, ...(source === undefined ? {} : { source }) },
        make,
      );
    return await keepAlive.during(this.#onHead(name, publish));
  }

  /** Again where the head that was found had left the history before it was held; nothing was done by then. */
  async #onHead<T>(name: string, work: (found: FoundVolume) => Promise<T>): Promise<T> {
    for (let found = await this.found(name); ; ) {
      try {
        return await work(found);
      } catch (error) {
        if (!isHoldfastError(error, 'NotFound')) throw error;
        const now = await this.found(name);
        if (now.volume.id !== found.volume.id || now.head?.id === found.head?.id) throw error;
        found = now;
      }
    }
  }
}

/** @throws InvalidArgument */
function ofObjectStore(volume: VolumeRecord): VolumeRecord {
  if (volume.backend === 'cloud_bucket') return volume;
  throw new HoldfastError(
    'InvalidArgument',
    `volume ${volume.name} is in a folder of one host: its files are there for whoever has it mounted, for no client and with no history`,
  );
}
