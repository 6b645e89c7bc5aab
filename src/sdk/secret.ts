import { checkOptions } from '../common/check-options.js';
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
import { type CallChoice, chosen } from './client-choice.js';

const opIdBytes = 12;
const fromNameChecks = {
  requiredKeys: (value: unknown) => (Array.isArray(value) ? null : 'a list of names of variables'),
} as const;

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
    checkOptions(`secret '${name}'`, options, fromNameChecks);
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
    options: CallChoice = {},
  ): Promise<Secret> {
    return await write({ name, variables: variablesOf(name, value), mustBeNew: true }, options);
  }

  /** Creates or replaces; running instances keep what they started with. @throws InvalidArgument, PermissionDenied */
  static async set(
    name: string,
    value: string | Readonly<Record<string, string>>,
    options: CallChoice = {},
  ): Promise<Secret> {
    return await write({ name, variables: variablesOf(name, value), mustBeNew: false }, options);
  }

  /** Names and times, never values. @throws Unavailable */
  static async list(options: CallChoice = {}): Promise<Secret[]> {
    const { client, limits } = chosen('Secret.list', options);
    const question = { request: {}, of: ListSecretsRequest, reply: ListSecretsReply };
    const { secrets } = await client.ask('ListSecrets', question, limits);
    return secrets.map(Secret.#of);
  }

  /** @throws PermissionDenied, Unavailable */
  async delete(options: CallChoice = {}): Promise<{ readonly deleted: boolean }> {
    const { client, limits } = chosen(`the deletion of secret '${this.name}'`, options);
    const change = { request: { name: this.name }, of: DeleteSecretRequest, reply: DeleteSecretReply };
    const { deleted } = await client.change('DeleteSecret', change, limits);
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
async function write(secret: Omit<SetSecretRequest, 'opId'>, options: CallChoice): Promise<Secret> {
  const { client, limits } = chosen(`the writing of secret '${secret.name}'`, options);
  const opId = Buffer.from(client.random.bytes(opIdBytes)).toString('base64url');
  const request = { ...secret, variables: { ...secret.variables }, opId };
  return asSecret(await client.ask('SetSecret', { request, of: SetSecretRequest, reply: SecretView }, limits));
}
