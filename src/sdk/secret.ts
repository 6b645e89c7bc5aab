import { HoldfastError } from '../common/errors.js';
import { checkedSecretName, isVariableName, type SecretReference, variablesOf } from '../common/secret.js';
import {
  DeleteSecretReply,
  DeleteSecretRequest,
  ListSecretsReply,
  ListSecretsRequest,
  SecretView,
  SetSecretRequest,
} from '../wire/gen/holdfast/v1/router.js';
import { chooseClient } from './client-choice.js';
import type { ClientChoice } from './infos.js';

const opIdBytes = 12;

// Only this package makes one that exists.
let asSecret: (view: SecretView) => Secret;

/** A named value, sealed in the store, that reaches the environment of the containers that name it, and nothing else. */
export class Secret implements SecretReference {
  readonly name: string;
  /** Null where it was only named. */
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
  readonly requiredKeys: readonly string[];

  private constructor(name: string, known: Partial<Pick<Secret, 'createdAt' | 'updatedAt' | 'requiredKeys'>>) {
    this.name = name;
    this.createdAt = known.createdAt ?? null;
    this.updatedAt = known.updatedAt ?? null;
    this.requiredKeys = known.requiredKeys ?? [];
  }

  /**
   * Names one, for `secrets` of a class; nothing is looked up before a placement.
   *
   * @throws InvalidArgument
   */
  static fromName(name: string, options: { readonly requiredKeys?: readonly string[] } = {}): Secret {
    const requiredKeys = [...(options.requiredKeys ?? [])];
    const wrong = requiredKeys.find((key) => !isVariableName(key));
    if (wrong === undefined) return new Secret(checkedSecretName(name), { requiredKeys });
    throw new HoldfastError('InvalidArgument', `secret '${name}': '${String(wrong)}' is not the name of a variable`);
  }

  /**
   * @param value one variable of that name, or several
   * @throws AlreadyExists where the name is taken, InvalidArgument, PermissionDenied
   */
  static async create(
    name: string,
    value: string | Readonly<Record<string, string>>,
    options: ClientChoice = {},
  ): Promise<Secret> {
    return await write({ name, variables: variablesOf(name, value), mustBeNew: true }, options);
  }

  /** Creates or replaces; running instances keep what they started with. @throws InvalidArgument, PermissionDenied */
  static async set(
    name: string,
    value: string | Readonly<Record<string, string>>,
    options: ClientChoice = {},
  ): Promise<Secret> {
    return await write({ name, variables: variablesOf(name, value), mustBeNew: false }, options);
  }

  /** Names and times, never values. @throws Unavailable */
  static async list(options: ClientChoice = {}): Promise<Secret[]> {
    const question = { request: {}, of: ListSecretsRequest, reply: ListSecretsReply };
    const { secrets } = await chooseClient(options).ask('ListSecrets', question);
    return secrets.map(Secret.#of);
  }

  /** @throws PermissionDenied, Unavailable */
  async delete(options: ClientChoice = {}): Promise<{ readonly deleted: boolean }> {
    const change = { request: { name: this.name }, of: DeleteSecretRequest, reply: DeleteSecretReply };
    const { deleted } = await chooseClient(options).change('DeleteSecret', change);
    return { deleted };
  }

  static #of({ name, createdAtMs, updatedAtMs }: SecretView): Secret {
    return new Secret(name, { createdAt: new Date(createdAtMs), updatedAt: new Date(updatedAtMs) });
  }

  static {
    asSecret = (view) => Secret.#of(view);
  }
}

/** Asked again where no router answers: the same change, by its id. */
async function write(secret: Omit<SetSecretRequest, 'opId'>, options: ClientChoice): Promise<Secret> {
  const client = chooseClient(options);
  const opId = Buffer.from(client.random.bytes(opIdBytes)).toString('base64url');
  const request = { ...secret, variables: { ...secret.variables }, opId };
  return asSecret(await client.ask('SetSecret', { request, of: SetSecretRequest, reply: SecretView }));
}
