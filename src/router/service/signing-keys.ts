import type { Clock, Monotonic, Random } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { KeyStore, SigningKey } from '../../common/ports/store.js';
import { signerOf, signsAfterMs } from '../../wire/signature.js';

/** What another router changes is seen after this long at the latest. */
const freshForMs = 60_000;
/** A forged key id costs at most one read of the store in this time. */
const refreshAtMostEveryMs = 1_000;

interface Loaded {
  readonly at: Monotonic;
  readonly keys: Promise<readonly SigningKey[]>;
}

/** The accounts' keys for handles, capabilities and worker tokens: the newest that every process has read signs, all verify (S12). */
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
  async signer(account: string): Promise<SigningKey> {
    const signer = signerOf(await this.#keys(account, freshForMs), this.#clock.now());
    if (signer !== undefined) return signer;
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

  /** Newest first, as the store has them now. @throws Unavailable */
  async list(
    account: string,
  ): Promise<{ readonly keys: readonly SigningKey[]; readonly signer: SigningKey | undefined }> {
    const keys = await this.#store.signingKeys(account, this.#freshKey());
    return { keys, signer: signerOf(keys, this.#clock.now()) };
  }

  /** Adds a key, which signs `signsFromMs`. @throws Unavailable */
  async rotate(account: string): Promise<{ readonly id: string; readonly signsFromMs: number }> {
    // Where there is none yet, the new one must not become the only one: others may make the first meanwhile.
    await this.#keys(account, freshForMs);
    const key = this.#freshKey();
    await this.#store.addSigningKey(account, key);
    this.#loaded.delete(account);
    return { id: key.id, signsFromMs: key.createdAtMs + signsAfterMs };
  }

  /** What it signed is refused: here at once, elsewhere within a minute. False where there is no such key. @throws Unavailable */
  async retire(account: string, id: string): Promise<boolean> {
    const retired = await this.#store.removeSigningKey(account, id);
    this.#loaded.delete(account);
    return retired;
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
      // Hex: people type it on command lines, where a leading dash would begin an option.
      id: Buffer.from(this.#random.bytes(6)).toString('hex'),
      secret: this.#random.bytes(32),
      createdAtMs: this.#clock.now(),
    };
  }
}
