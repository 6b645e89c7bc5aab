import type { Clock, Monotonic, Random } from '../common/clock.js';
import { HoldfastError, isHoldfastError } from '../common/errors.js';
import type { KeyStore, SigningKey } from '../common/ports/store.js';

/** A rotated key is used for signing after this long at the latest. */
const freshForMs = 60_000;
/** A forged key id costs at most one read of the store in this time. */
const refreshAtMostEveryMs = 1_000;

interface Loaded {
  readonly at: Monotonic;
  readonly keys: Promise<readonly SigningKey[]>;
}

/** The accounts' keys for handles, capabilities and worker tokens: the newest signs, all verify (S12). */
export class SigningKeys {
  readonly #store: KeyStore;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #loaded = new Map<string, Loaded>();

  constructor(parts: { store: KeyStore; clock: Clock; random: Random }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** @throws Unavailable */
  async newest(account: string): Promise<SigningKey> {
    const [newest] = await this.#keys(account, freshForMs);
    if (newest !== undefined) return newest;
    throw new HoldfastError(
      'Internal',
      `account ${account} has no signing key, although the store makes the first one`,
    );
  }

  /** What `check` makes of the keys; with fresh ones, where it refuses: the signature may be by a key made since. */
  async verify<T>(account: string, check: (keys: readonly SigningKey[]) => T): Promise<T> {
    const known = await this.#keys(account, freshForMs);
    try {
      return check(known);
    } catch (error) {
      if (!isHoldfastError(error) || this.#ageMs(account) < refreshAtMostEveryMs) throw error;
    }
    return check(await this.#keys(account, refreshAtMostEveryMs));
  }

  #ageMs(account: string): number {
    const loaded = this.#loaded.get(account);
    return loaded === undefined ? Infinity : this.#clock.monotonic() - loaded.at;
  }

  #keys(account: string, maxAgeMs: number): Promise<readonly SigningKey[]> {
    const loaded = this.#loaded.get(account);
    if (loaded !== undefined && this.#clock.monotonic() - loaded.at < maxAgeMs) return loaded.keys;
    const read = this.#store.signingKeys(account, this.#freshKey());
    // While the store is away the keys of before go on verifying.
    const keys = loaded === undefined ? read : read.catch(() => loaded.keys);
    const entry: Loaded = { at: this.#clock.monotonic(), keys };
    this.#loaded.set(account, entry);
    keys.catch(() => {
      if (this.#loaded.get(account) === entry) this.#loaded.delete(account);
    });
    return keys;
  }

  #freshKey(): SigningKey {
    return {
      id: Buffer.from(this.#random.bytes(6)).toString('base64url'),
      secret: this.#random.bytes(32),
      createdAtMs: this.#clock.now(),
    };
  }
}
