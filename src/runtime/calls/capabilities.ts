import { LRUCache } from 'lru-cache';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { KeyStore, SigningKey } from '../../common/ports/store.js';
import { type Capability, capabilityForMs, hashPin, mintCapability, verifyCapability } from '../../wire/capability.js';
import type { BindBody, MadeBody } from '../../wire/frames/frames.js';
import { type Grant, verifyGrant } from '../../wire/grant.js';
import { signHandle } from '../../wire/handle.js';
import { signerOf } from '../../wire/signature.js';

const refreshMs = 10_000;
/** Grants and capabilities that were checked, or made, a moment ago. */
const remembered = 4_096;

/** What clients may call here, checked against the account's signing keys without asking anyone. */
export class Capabilities {
  readonly #account: string;
  readonly #store: KeyStore;
  readonly #clock: Clock;
  /** What is asked for often under the same few texts. */
  readonly #grants = new LRUCache<string, Grant>({ max: remembered });
  /** Of names that were made here: their clients bind them next. */
  readonly #shown = new LRUCache<string, Capability>({ max: remembered });
  #keys: readonly SigningKey[];

  constructor(deps: {
    readonly account: string;
    readonly keys: readonly SigningKey[];
    readonly store: KeyStore;
    readonly clock: Clock;
  }) {
    this.#account = deps.account;
    this.#keys = deps.keys;
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  /** Newest first. */
  get keys(): readonly SigningKey[] {
    return this.#keys;
  }

  /** @throws PermissionDenied */
  check(bind: BindBody): void {
    const nowMs = this.#clock.now();
    const shown = this.#shown.get(bind.capability);
    const claim = shown ?? verifyCapability(this.#keys, bind.capability, nowMs);
    if (shown !== undefined) this.#shown.delete(bind.capability);
    const isForThis =
      claim.instanceKey === bind.key &&
      claim.epoch === bind.epoch &&
      claim.generation === bind.generation &&
      claim.account === this.#account &&
      (bind.pin === undefined || claim.pinHash === hashPin(bind.pin));
    if (!isForThis || claim.role === 'read') {
      throw new HoldfastError(
        'PermissionDenied',
        'the capability does not allow calls of this instance; resolve it again',
      );
    }
  }

  /** @throws PermissionDenied */
  checkGrant(text: string): Grant {
    const nowMs = this.#clock.now();
    const known = this.#grants.get(text);
    if (known !== undefined && known.expiresAtMs > nowMs) return known;
    const grant = verifyGrant(this.#keys, text, nowMs);
    if (grant.account === this.#account && grant.role !== 'read') {
      this.#grants.set(text, grant);
      return grant;
    }
    throw new HoldfastError('PermissionDenied', 'the grant does not allow to make names here; ask a router');
  }

  /** What a router would say of a pin that was made here on that grant. */
  show(pin: Pin, key: InstanceKey, { role }: Grant): MadeBody {
    const { kind, generation, epoch } = pin;
    const { account, app, className, id } = pin.identity;
    const nowMs = this.#clock.now();
    const signer = signerOf(this.#keys, nowMs);
    if (signer === undefined) throw new HoldfastError('Internal', `account ${account} has no signing key`);
    const { signature } = signHandle(signer, { v: 1, kind, account, app, name: className, id, generation });
    const expiresAtMs = nowMs + capabilityForMs;
    const claims = { account, instanceKey: key, generation, epoch, role, expiresAtMs, pinHash: null };
    const capability = mintCapability(signer, claims);
    this.#shown.set(capability, claims);
    return { key, epoch, capability, signature };
  }

  /** Reads new keys until `over`: routers use one only after every worker has had the time to read it. */
  async keepFresh(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await this.#clock.sleep(refreshMs, over).catch(() => undefined); // over: the condition sees it
      const [newest] = this.#keys;
      if (over.aborted || newest === undefined) return;
      this.#grants.clear();
      this.#keys = await this.#store.signingKeys(this.#account, newest).catch(() => this.#keys); // the old ones stay good
    }
  }
}
