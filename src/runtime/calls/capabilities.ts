import { LRUCache } from 'lru-cache';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Pin } from '../../common/pin.js';
import type { KeyStore, SigningKey } from '../../common/ports/store.js';
import { hashPin, verifyCapability } from '../../wire/capability.js';
import type { BindBody } from '../../wire/frames/frames.js';
import { type Grant, verifyGrant } from '../../wire/grant.js';
import { signHandle } from '../../wire/handle.js';
import { signerOf } from '../../wire/signature.js';

const refreshMs = 10_000;
/** Few clients ask under many. */
const remembered = 4_096;

/** What clients may call here, checked against the account's signing keys without asking anyone. */
export class Capabilities {
  readonly #account: string;
  readonly #store: KeyStore;
  readonly #clock: Clock;
  /** Those that were good: each is shown again and again. */
  readonly #grants = new LRUCache<string, Grant>({ max: remembered });
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
    const claim = verifyCapability(this.#keys, bind.capability, this.#clock.now());
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

  /** Of the handle of what was made here, as a router would have signed it. @throws Internal */
  signHandleOf({ identity, kind, generation }: Pin): string {
    const { account, app, className: name, id } = identity;
    const signer = signerOf(this.#keys, this.#clock.now());
    if (signer === undefined) throw new HoldfastError('Internal', `account ${account} has no signing key`);
    return signHandle(signer, { v: 1, kind, account, app, name, id, generation }).signature;
  }

  /** Reads new keys until `over`: routers use one only after every worker has had the time to read it. */
  async keepFresh(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await this.#clock.sleep(refreshMs, over).catch(() => undefined); // over: the condition sees it
      const [newest] = this.#keys;
      if (over.aborted || newest === undefined) return;
      this.#keys = await this.#store.signingKeys(this.#account, newest).catch(() => this.#keys); // the old ones stay good
      this.#grants.clear();
    }
  }
}
