import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Kms } from '../../common/ports/kms.js';
import type { SecretRecord, SecretStore } from '../../common/ports/store.js';
import { checkedSecretName, checkedVariables, type SecretReference, type Variables } from '../../common/secret.js';
import type {
  DeleteSecretReply,
  ListSecretsReply,
  RotateSecretKeyReply,
  SecretView,
  SetSecretRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { patiently } from '../patience.js';
import type { Request } from '../service/request.js';
import { rewrap, seal, unseal } from './sealing.js';

const opIdPattern = /^[A-Za-z0-9_-]{8,64}$/;

/**
 * Secrets of accounts: sealed in the store, opened for placements only. A value is in no message, log line or error of this
 * file.
 */
export class Secrets {
  readonly #store: SecretStore;
  readonly #kms: Kms | null;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(parts: { store: SecretStore; kms: Kms | null; clock: Clock; random: Random }) {
    this.#store = parts.store;
    this.#kms = parts.kms;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** Makes or replaces one. @throws AlreadyExists where it must be new, InvalidArgument */
  async set({ name, variables, mustBeNew, opId }: SetSecretRequest, request: Request): Promise<SecretView> {
    const { account } = request;
    checkedSecretName(name);
    checkedVariables(name, variables);
    if (!opIdPattern.test(opId))
      throw new HoldfastError('InvalidArgument', `secret ${name}: opId must name this change`);
    const kms = this.#usable();
    const sealed = await seal({ kms, random: this.#random }, { account, name }, variables);
    const written = await this.#change(name, request, (stands) => {
      if (stands?.revision === opId) return stands;
      if (stands !== null && mustBeNew) throw taken(name);
      const now = this.#clock.now();
      return { account, name, revision: opId, createdAtMs: stands?.createdAtMs ?? now, updatedAtMs: now, ...sealed };
    });
    return viewOf(written);
  }

  async list(request: Request): Promise<ListSecretsReply> {
    const records = await patiently(this.#clock, request, () => this.#store.list(request.account));
    return { secrets: records.map(viewOf) };
  }

  async delete(name: string, { account }: Request): Promise<DeleteSecretReply> {
    return { deleted: await this.#store.delete(account, checkedSecretName(name)) };
  }

  /** Wraps every data key anew that another than the current master key wraps. May be asked for again at any time. */
  async rotate(request: Request): Promise<RotateSecretKeyReply> {
    const { account } = request;
    const kms = this.#usable();
    const keyId = await kms.currentKeyId();
    const records = await patiently(this.#clock, request, () => this.#store.list(account));
    let rewrapped = 0;
    for (const { name, wrappedKey } of records) {
      if (wrappedKey.keyId === keyId) continue;
      await this.#rewrapOne(kms, name, request);
      rewrapped += 1;
    }
    return { keyId, rewrapped, secrets: records.length };
  }

  /**
   * The variables of all that a class names; of those that several secrets have, the last one's.
   * @throws NotFound naming every secret or variable that is missing
   */
  async variables(who: string, references: readonly SecretReference[], request: Request): Promise<Variables> {
    const found = await this.#found(who, references, request);
    return Object.assign({}, ...found.map(([, variables]) => variables));
  }

  /** Those of several secrets, by their names. @throws NotFound naming every secret that is missing */
  async each(
    who: string,
    names: readonly string[],
    request: Request,
  ): Promise<[name: string, Record<string, string>][]> {
    const found = await this.#found(
      who,
      names.map((name) => ({ name })),
      request,
    );
    return found.map(([name, variables]) => [name, { ...variables }]);
  }

  async #found(
    who: string,
    references: readonly SecretReference[],
    request: Request,
  ): Promise<[name: string, Variables][]> {
    const found: [string, Variables][] = [];
    const missing: string[] = [];
    for (const { name, requiredKeys = [] } of references) {
      const record = await patiently(this.#clock, request, () => this.#store.get(request.account, name));
      const variables = record === null ? null : await unseal(this.#usable(), record);
      if (variables === null) missing.push(`secret '${name}'`);
      else
        missing.push(
          ...requiredKeys.filter((key) => !Object.hasOwn(variables, key)).map((key) => `${key} in secret '${name}'`),
        );
      found.push([name, variables ?? {}]);
    }
    if (missing.length === 0) return found;
    throw new HoldfastError(
      'NotFound',
      `${who} needs ${missing.join(', ')}, which ${missing.length === 1 ? 'is' : 'are'} not there: \`holdfast secret set\` makes one`,
      { details: { missing } },
    );
  }

  async #rewrapOne(kms: Kms, name: string, request: Request): Promise<void> {
    const { account } = request;
    const current = await patiently(this.#clock, request, () => this.#store.get(account, name));
    if (current === null) return;
    const revision = this.#newRevision();
    const changed = { ...current, ...(await rewrap(kms, current)), revision };
    const result = await patiently(this.#clock, request, () => this.#store.put(changed, current.revision));
    // Whoever set it meanwhile used the current master key, or this very rotation is asked for again.
    if (!result.applied && result.record !== null) await this.#rewrapOne(kms, name, request);
  }

  /** Until nobody comes in between. @param next the record to write for what stands, or what stands where it is that */
  async #change(
    name: string,
    request: Request,
    next: (stands: SecretRecord | null) => SecretRecord,
  ): Promise<SecretRecord> {
    let stands = await patiently(this.#clock, request, () => this.#store.get(request.account, name));
    for (;;) {
      request.throwIfAborted();
      const record = next(stands);
      if (record === stands) return stands;
      const expected = stands?.revision ?? null;
      const result = await patiently(this.#clock, request, () => this.#store.put(record, expected));
      if (result.applied) return record;
      stands = result.record;
    }
  }

  #newRevision(): string {
    return Buffer.from(this.#random.bytes(12)).toString('base64url');
  }

  #usable(): Kms {
    if (this.#kms !== null) return this.#kms;
    throw new HoldfastError(
      'Unavailable',
      'this router keeps no secrets, as it has no master key: give it --master-key-file, HOLDFAST_MASTER_KEY_FILE or HOLDFAST_MASTER_KEY',
      { retryable: false },
    );
  }
}

function viewOf({ name, createdAtMs, updatedAtMs }: SecretRecord): SecretView {
  return { name, createdAtMs, updatedAtMs };
}

function taken(name: string): HoldfastError {
  return new HoldfastError('AlreadyExists', `there is a secret '${name}' already; set replaces it`, {
    details: { name },
  });
}
