import type { Timer } from '../../common/clock.js';
import {
  DeleteVolumeReply,
  DeleteVolumeRequest,
  ExtendVolumeReply,
  ExtendVolumeRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import type { VolumeAccess } from './volume-access.js';

const defaultTtlMs = 30_000;
const renewalsPerLife = 3;

/** A volume that lives for as long as this client renews its lease; a client that dies leaves it to be collected. */
export class EphemeralVolume {
  readonly #access: VolumeAccess;
  readonly #of: { readonly name: string; readonly id: string };
  readonly #ttlMs: number;
  #renewing: Timer | null = null;

  /** @throws AlreadyExists, InvalidArgument */
  static async make(access: VolumeAccess, name: string, ttlMs = defaultTtlMs): Promise<EphemeralVolume> {
    const { id } = await access.createNew(name, { ttlMs });
    const volume = new EphemeralVolume(access, { name, id }, ttlMs);
    volume.#renewLater();
    return volume;
  }

  private constructor(access: VolumeAccess, of: { readonly name: string; readonly id: string }, ttlMs: number) {
    this.#access = access;
    this.#of = of;
    this.#ttlMs = ttlMs;
  }

  /** Deletes it. Idempotent. @throws Unavailable: it goes with its lease, then */
  async end(): Promise<void> {
    this.#renewing?.cancel();
    this.#renewing = null;
    const request = { request: this.#of, of: DeleteVolumeRequest, reply: DeleteVolumeReply };
    await this.#access.core.change('DeleteVolume', request);
  }

  /** By a timer that lets the process end. */
  #renewLater(): void {
    const { clock } = this.#access.core;
    this.#renewing = clock.after(this.#ttlMs / renewalsPerLife, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const timer = this.#renewing;
    const request = { ...this.#of, ttlMs: this.#ttlMs };
    const question = { request, of: ExtendVolumeRequest, reply: ExtendVolumeReply };
    const isGone = await this.#access.core.ask('ExtendVolume', question).then(
      ({ extended }) => !extended,
      () => this.#access.core.isClosed, // While no router answers: the next time one may.
    );
    // It was ended meanwhile, or somebody has deleted it.
    if (this.#renewing === timer && !isGone) this.#renewLater();
  }
}
