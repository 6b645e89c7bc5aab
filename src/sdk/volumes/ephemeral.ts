import {
  DeleteVolumeReply,
  DeleteVolumeRequest,
  ExtendVolumeReply,
  ExtendVolumeRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { RenewedLease } from './renewed-lease.js';
import type { VolumeAccess } from './volume-access.js';

const defaultTtlMs = 30_000;

/** A volume that lives for as long as this client renews its lease; a client that dies leaves it to be collected. */
export class EphemeralVolume {
  readonly #access: VolumeAccess;
  readonly #of: { readonly name: string; readonly id: string };
  readonly #lease: RenewedLease;

  /** @throws AlreadyExists, InvalidArgument */
  static async make(access: VolumeAccess, name: string, ttlMs = defaultTtlMs): Promise<EphemeralVolume> {
    const { id } = await access.createNew(name, { ttlMs });
    return new EphemeralVolume(access, { name, id }, ttlMs);
  }

  private constructor(access: VolumeAccess, of: { readonly name: string; readonly id: string }, ttlMs: number) {
    this.#access = access;
    this.#of = of;
    this.#lease = new RenewedLease(access.core, ttlMs, async () => {
      const request = { ...of, ttlMs };
      const question = { request, of: ExtendVolumeRequest, reply: ExtendVolumeReply };
      return (await access.core.ask('ExtendVolume', question)).extended;
    });
  }

  /** Deletes it. Idempotent. @throws Unavailable: it goes with its lease, then */
  async end(): Promise<void> {
    this.#lease.end();
    const request = { request: this.#of, of: DeleteVolumeRequest, reply: DeleteVolumeReply };
    await this.#access.core.change('DeleteVolume', request);
  }
}
