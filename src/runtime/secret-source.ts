import type { BootId } from '../common/ids.js';
import { instanceKey } from '../common/ids.js';
import type { Pin } from '../common/pin.js';
import type { Transport } from '../common/ports/channel.js';
import type { Variables } from '../common/secret.js';
import { FetchSecretsReply, FetchSecretsRequest } from '../wire/gen/holdfast/v1/router.js';
import type { LoadedClass } from './loaded-class.js';
import type { MountSecrets } from './mounts/bucket/bucket-keys.js';

/** What the secrets of a class put into its container; asked for when a container is loaded, and once for an activation. */
export type SecretSource = () => Promise<Variables>;

const answerWithinMs = 10_000;
const none: Variables = {};

/** How a boot of a worker comes by secrets. */
export function secretSources(bootId: BootId, transport: () => Transport) {
  return {
    secretsOf: (pin: Pin, klass: LoadedClass): SecretSource => secretSource({ pin, klass }, bootId, transport),
    mountSecretsOf: (pin: Pin, names: readonly string[]): MountSecretSource =>
      mountSecretSource({ pin, names }, bootId, transport),
  };
}

/** The secrets of an instance that is placed here, from a router: this host has no master key (ADR 12). */
function secretSource(
  { pin, klass }: { readonly pin: Pin; readonly klass: LoadedClass },
  bootId: BootId,
  transport: () => Transport,
): SecretSource {
  if (klass.options.secrets.length === 0) return async () => none;
  let asked: Promise<Variables> | null = null;
  const request = { key: instanceKey(pin.identity), epoch: pin.epoch, bootId, mountSecrets: [] };
  return () => {
    asked ??= ask(transport, request).then(({ variables }) => variables);
    return asked;
  };
}

/** Those that its mounts are opened with, by their names; asked for once for an activation. */
export type MountSecretSource = () => Promise<MountSecrets>;

/** The same for what is mounted: only the process of mounts is told. */
function mountSecretSource(
  { pin, names }: { readonly pin: Pin; readonly names: readonly string[] },
  bootId: BootId,
  transport: () => Transport,
): MountSecretSource {
  if (names.length === 0) return async () => ({});
  let asked: Promise<MountSecrets> | null = null;
  const request = { key: instanceKey(pin.identity), epoch: pin.epoch, bootId, mountSecrets: [...names] };
  return () => {
    asked ??= ask(transport, request).then(({ mounts }) =>
      Object.fromEntries(Object.entries(mounts).map(([name, { variables }]) => [name, variables])),
    );
    return asked;
  };
}

/** @throws NotFound naming what is missing, Unavailable while no router answers */
async function ask(transport: () => Transport, request: FetchSecretsRequest): Promise<FetchSecretsReply> {
  const bytes = FetchSecretsRequest.encode(request).finish();
  const reply = await transport().unary('FetchSecrets', bytes, { timeoutMs: answerWithinMs });
  return FetchSecretsReply.decode(reply);
}
