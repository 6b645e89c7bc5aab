import { LRUCache } from 'lru-cache';
import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { BootId, ClassIdentity, Identity, InstanceKey } from '../../common/ids.js';
import { checkedIdentity } from '../../common/names.js';
import type { Pin } from '../../common/pin.js';
import type { Role } from '../../common/ports/store.js';
import { capabilityForMs, hashPin, mintCapability } from '../../wire/capability.js';
import type { Handle, PinView } from '../../wire/gen/holdfast/v1/router.js';
import { grantForMs, mintGrant } from '../../wire/grant.js';
import { signHandle, verifyHandle } from '../../wire/handle.js';
import { encodePin } from '../../wire/pin-record.js';
import type { Principal } from '../service/request.js';
import type { SigningKeys } from '../service/signing-keys.js';

/** One text serves all who are given it meanwhile. */
const grantAgainMs = 60_000;
const keptGrants = 10_000;
const nothing = Buffer.alloc(0);

interface Granted {
  readonly deployment: number;
  readonly bootId: BootId;
}

/** What clients get to see of a pin, signed with the account's key; and what they bring back. */
export class PinViews {
  readonly #keys: SigningKeys;
  readonly #clock: Clock;
  readonly #grants = new LRUCache<string, { readonly text: string; readonly at: Monotonic }>({ max: keptGrants });

  constructor(parts: { keys: SigningKeys; clock: Clock }) {
    this.#keys = parts.keys;
    this.#clock = parts.clock;
  }

  /** @param pin active, or placing: then the client brings it to its worker (S5) */
  async of(pin: Pin, instance: InstanceKey, { account, role }: Principal): Promise<PinView> {
    const key = await this.#keys.signer(account);
    const { app, className, id } = pin.identity;
    const { generation, epoch } = pin;
    const expiresAtMs = this.#clock.now() + capabilityForMs;
    const record = pin.state === 'placing' ? encodePin(pin) : nothing;
    const pinHash = record.length === 0 ? null : hashPin(record);
    const claims = { account, instanceKey: instance, generation, epoch, role, expiresAtMs, pinHash };
    return {
      handle: signHandle(key, { v: 1, kind: pin.kind, account, app, name: className, id, generation }),
      key: instance,
      epoch,
      address: pin.address ?? '',
      capability: mintCapability(key, claims),
      deployment: pin.deployment,
      pin: record,
      grant: '',
    };
  }

  /** For further names of a class (S13). @param bootId where a container has room for them */
  async grant({ account, app, className }: ClassIdentity, at: Granted, role: Role): Promise<string> {
    const { deployment, bootId } = at;
    const key = await this.#keys.signer(account);
    const name = [account, app, className, deployment, bootId, role, key.id].join('\0');
    const known = this.#grants.get(name);
    if (known !== undefined && this.#clock.monotonic() - known.at < grantAgainMs) return known.text;
    const expiresAtMs = this.#clock.now() + grantForMs;
    const text = mintGrant(key, { account, app, className, deployment, bootId, role, expiresAtMs });
    this.#grants.set(name, { text, at: this.#clock.monotonic() });
    return text;
  }

  /** The instance of a handle. @throws PermissionDenied for a forged one or another account's, InvalidArgument */
  async verify(
    handle: Handle | undefined,
    { account }: Principal,
  ): Promise<{ readonly identity: Identity; readonly generation: number }> {
    if (handle === undefined) throw new HoldfastError('InvalidArgument', 'the request has no handle');
    if (handle.account !== account) {
      throw new HoldfastError(
        'PermissionDenied',
        `the handle of ${handle.app}/${handle.name}/${handle.id} belongs to another account; use a token of that account`,
      );
    }
    await this.#keys.verify(account, (keys) => verifyHandle(keys, handle));
    const { app, name, id, generation } = handle;
    return { identity: checkedIdentity({ account, app, className: name, id }), generation };
  }
}
