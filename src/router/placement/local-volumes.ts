import { ulid } from 'ulid';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Identity, WorkerId } from '../../common/ids.js';
import { kindOf } from '../../common/manifest.js';
import type { Store } from '../../common/ports/store.js';
import type { VolumeRecord } from '../../common/ports/volume-store.js';
import { mountsTogether, type VolumeMountReference, volumeToMake } from '../../common/volume-mounts.js';
import type { DeployedClass } from '../apps/deployments.js';
import { sessionArguments } from '../session-arguments.js';

/** A volume that is in a folder of one host. */
export interface LocalVolume {
  readonly volume: VolumeRecord;
  /** Null: it is bound to none yet. */
  readonly host: WorkerId | null;
}

/** Which host's volume an instance needs: made by who names it first, bound by the router that places it first. */
export class LocalVolumes {
  readonly #volumes: Store['volumes'];
  readonly #clock: Clock;

  constructor({ volumes, clock }: { readonly volumes: Store['volumes']; readonly clock: Clock }) {
    this.#volumes = volumes;
    this.#clock = clock;
  }

  /** Null: it needs none. @param of.args as a pin has them @throws InvalidArgument for more than one, Unavailable */
  async neededBy(
    { identity, args }: { readonly identity: Identity; readonly args: Uint8Array },
    { manifest }: DeployedClass,
  ): Promise<LocalVolume | null> {
    const { account } = identity;
    const ofSession = kindOf(manifest) === 'sandbox' ? (sessionArguments(args).volumes ?? []) : [];
    const mounts = mountsTogether(manifest.options.volumes, ofSession);
    const found = new Map<string, VolumeRecord>();
    for (const mount of mounts) {
      if (!('volume' in mount)) continue;
      const volume = await this.#localOf(account, mount);
      if (volume !== null) found.set(volume.id, volume);
    }
    const [volume, other] = [...found.values()];
    if (volume === undefined) return null;
    if (other !== undefined)
      throw new HoldfastError(
        'InvalidArgument',
        `volumes ${volume.name} and ${other.name} are both of one host: a resource can have one with the backend vast_local, as they may be on different hosts`,
      );
    return { volume, host: await this.#bind(volume, null) };
  }

  /** Who has it then: of several that bind it at once the first. @throws NotFound, Unavailable */
  async bind(volume: VolumeRecord, to: WorkerId): Promise<WorkerId> {
    return (await this.#bind(volume, to)) ?? to;
  }

  async #bind(volume: VolumeRecord, to: WorkerId | null): Promise<WorkerId | null> {
    const host = await this.#volumes.bind(volume, to);
    if (host === null) throw new HoldfastError('NotFound', `volume ${volume.name} was deleted meanwhile`);
    return host === '' ? null : (host as WorkerId);
  }

  async #localOf(account: string, { volume: name, whenMissing }: VolumeMountReference): Promise<VolumeRecord | null> {
    const found = (await this.#volumes.find(account, name))?.volume ?? null;
    const wanted = whenMissing?.backend ?? 'cloud_bucket';
    // Who mounts it makes it, or says that it is missing.
    if (found === null && wanted === 'cloud_bucket') return null;
    const now = this.#clock.now();
    const volume =
      found ??
      (await this.#volumes.create(volumeToMake({ account, name, id: ulid(now) }, whenMissing, now), null)).volume;
    if (wanted === 'vast_local' && volume.backend !== wanted)
      throw new HoldfastError(
        'InvalidArgument',
        `volume ${name} is there with the backend ${volume.backend}, not vast_local as it is declared: choose another name`,
      );
    return volume.backend === 'vast_local' ? volume : null;
  }
}
