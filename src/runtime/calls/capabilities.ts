import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { KeyStore, SigningKey } from '../../common/ports/store.js';
import { hashPin, verifyCapability } from '../../wire/capability.js';
import type { BindBody } from '../../wire/frames/frames.js';

const refreshMs = 10_000;

/** What clients may call here, checked against the account's signing keys without asking anyone. */
export class Capabilities {
  readonly #account: string;
  readonly #store: KeyStore;
  readonly #clock: Clock;
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

  /** Reads new keys until `over`: routers use one only after every worker has had the time to read it. */
  async keepFresh(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await this.#clock.sleep(refreshMs, over).catch(() => undefined); // over: the condition sees it
      const [newest] = this.#keys;
      if (over.aborted || newest === undefined) return;
      this.#keys = await this.#store.signingKeys(this.#account, newest).catch(() => this.#keys); // the old ones stay good
    }
  }
}
