import { LRUCache } from 'lru-cache';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { KeyStore, Role, TokenRecord } from '../../common/ports/store.js';
import { parseToken, secretMatches, verifyWorkerToken } from '../../wire/token.js';
import type { Principal } from './request.js';
import type { SigningKeys } from './signing-keys.js';

/** A revoked token is taken for at most this long. */
const tokenForMs = 3_000;
const maxTokens = 10_000;

/** Each role may do what those below it may. */
const rank: Readonly<Record<Role, number>> = { read: 0, call: 1, deploy: 2 };

/** @param what the operation, for the message. @throws PermissionDenied */
export function requireRole({ role }: Principal, needed: Role, what: string): void {
  if (rank[role] >= rank[needed]) return;
  throw new HoldfastError(
    'PermissionDenied',
    `${what} needs a token with role ${needed}, this one has role ${role}; make one with \`holdfast token create --role ${needed}\``,
    { details: { needed, given: role } },
  );
}

/** For what a worker asks on its own behalf; what its containers ask passes another door (runtime/tunnels). @throws PermissionDenied */
export function requireWorker({ kind }: Principal, what: string): void {
  if (kind !== 'worker') throw new HoldfastError('PermissionDenied', `${what} is for workers only`);
}

/** Who a token speaks for. */
export class Authenticator {
  readonly #store: KeyStore;
  readonly #keys: SigningKeys;
  readonly #clock: Clock;
  readonly #accounts: ReadonlySet<string>;
  /** By account and id, without the secret. Whoever guesses ids only pushes other entries out. */
  readonly #records: LRUCache<string, { readonly record: Promise<TokenRecord | null> }>;

  constructor(parts: { store: KeyStore; keys: SigningKeys; clock: Clock; accounts: readonly string[] }) {
    const { store, keys, clock, accounts } = parts;
    this.#store = store;
    this.#keys = keys;
    this.#clock = clock;
    this.#accounts = new Set(accounts);
    const perf = { now: () => clock.monotonic() };
    this.#records = new LRUCache({ max: maxTokens, ttl: tokenForMs, ttlResolution: 0, perf });
  }

  /** @param token as it came, without `Bearer`. @throws Unauthenticated, Unavailable */
  async authenticate(token: string | null): Promise<Principal> {
    if (token === null) {
      throw new HoldfastError(
        'Unauthenticated',
        'the call has no token; set HOLDFAST_TOKEN to one that `holdfast token create` made',
      );
    }
    const parsed = parseToken(token);
    const { account } = parsed;
    if (!this.#accounts.has(account)) throw notValid(`this router does not serve account ${account}`);
    if (parsed.kind === 'worker') {
      await this.#keys.verify(account, (keys) => verifyWorkerToken(keys, parsed, this.#clock.now()));
      return { kind: 'worker', account, role: parsed.role };
    }
    const record = await this.#record(account, parsed.id);
    // The same words whether the id or the secret is wrong.
    if (record === null || !secretMatches(record, parsed.secret)) throw notValid('it is unknown or was revoked');
    return { kind: 'client', account, role: record.role };
  }

  /** The token was revoked here: it is refused from now on, by other routers a few seconds later. */
  forget(account: string, id: string): void {
    this.#records.delete(`${account}/${id}`);
  }

  #record(account: string, id: string): Promise<TokenRecord | null> {
    const key = `${account}/${id}`;
    const known = this.#records.get(key);
    if (known !== undefined) return known.record;
    const entry = { record: this.#store.getToken(account, id) };
    this.#records.set(key, entry);
    const forget = () => {
      if (this.#records.peek(key) === entry) this.#records.delete(key);
    };
    // A token that is not there may be made at any moment.
    entry.record.then((record) => record ?? forget(), forget);
    return entry.record;
  }
}

function notValid(why: string): HoldfastError {
  return new HoldfastError(
    'Unauthenticated',
    `the token is not valid: ${why}; make one with \`holdfast token create\``,
  );
}
