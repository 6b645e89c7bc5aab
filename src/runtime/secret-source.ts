import type { BootId, Epoch, InstanceKey } from '../common/ids.js';
import { instanceKey } from '../common/ids.js';
import type { Pin } from '../common/pin.js';
import type { Transport } from '../common/ports/channel.js';
import type { Variables } from '../common/secret.js';
import { FetchSecretsReply, FetchSecretsRequest } from '../wire/gen/holdfast/v1/router.js';
import type { LoadedClass } from './hosting/loaded-class.js';
import type { MountSecrets } from './mounts/bucket/bucket-keys.js';

/** What the secrets of a class put into its container; asked for when a container is loaded, and once for an activation. */
export type SecretSource = () => Promise<Variables>;

/** Those that its mounts are opened with, by their names; asked for once for an activation. */
export type MountSecretSource = () => Promise<MountSecrets>;

/** For whom they are asked. */
interface SecretOwner {
  readonly key: InstanceKey;
  readonly epoch: Epoch;
  /** The ticket of a loan; without: the instance is placed here. */
  readonly loan?: string;
}

/** How a boot of a worker comes by secrets. */
export interface Secrets {
  of(owner: SecretOwner, klass: LoadedClass): SecretSource;
  ofMounts(owner: SecretOwner, names: readonly string[]): MountSecretSource;
}

const answerWithinMs = 10_000;
const none: Variables = {};

/** From a router: this host has no master key (ADR 12). */
export function secretsOf(bootId: BootId, transport: () => Transport): Secrets {
  return {
    of: (owner, klass) => {
      if (klass.options.secrets.length === 0) return async () => none;
      const request = { ...owner, bootId, mountSecrets: [] };
      return once(async () => (await ask(transport, request)).variables);
    },
    // Only the process of mounts is told.
    ofMounts: (owner, names) => {
      if (names.length === 0) return async () => ({});
      const request = { ...owner, bootId, mountSecrets: [...names] };
      return once(async () => {
        const { mounts } = await ask(transport, request);
        return Object.fromEntries(Object.entries(mounts).map(([name, { variables }]) => [name, variables]));
      });
    },
  };
}

/** An instance that its pin gives to this boot. */
export function ownerOf({ identity, epoch }: Pin): SecretOwner {
  return { key: instanceKey(identity), epoch };
}

function once<T>(fetch: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | null = null;
  return () => {
    asked ??= fetch();
    return asked;
  };
}

/** @throws NotFound naming what is missing, Unavailable while no router answers */
async function ask(transport: () => Transport, request: FetchSecretsRequest): Promise<FetchSecretsReply> {
  const bytes = FetchSecretsRequest.encode(request).finish();
  const reply = await transport().unary('FetchSecrets', bytes, { timeoutMs: answerWithinMs });
  return FetchSecretsReply.decode(reply);
}
