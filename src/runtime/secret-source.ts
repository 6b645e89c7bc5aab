import type { BootId } from '../common/ids.js';
import { instanceKey } from '../common/ids.js';
import type { Pin } from '../common/pin.js';
import type { Transport } from '../common/ports/channel.js';
import type { Variables } from '../common/secret.js';
import { FetchSecretsReply, FetchSecretsRequest } from '../wire/gen/holdfast/v1/router.js';
import type { LoadedClass } from './loaded-class.js';

/** What the secrets of a class put into its container; asked for when a container is loaded, and once for an activation. */
export type SecretSource = () => Promise<Variables>;

const answerWithinMs = 10_000;
const none: Variables = {};

/** The secrets of an instance that is placed here, from a router: this host has no master key (ADR 8). */
export function secretSource(
  { pin, klass }: { readonly pin: Pin; readonly klass: LoadedClass },
  bootId: BootId,
  transport: () => Transport,
): SecretSource {
  if (klass.options.secrets.length === 0) return async () => none;
  let asked: Promise<Variables> | null = null;
  return () => {
    asked ??= ask(transport, { key: instanceKey(pin.identity), epoch: pin.epoch, bootId });
    return asked;
  };
}

/** @throws NotFound naming what is missing, Unavailable while no router answers */
async function ask(transport: () => Transport, request: FetchSecretsRequest): Promise<Variables> {
  const bytes = FetchSecretsRequest.encode(request).finish();
  const reply = await transport().unary('FetchSecrets', bytes, { timeoutMs: answerWithinMs });
  return FetchSecretsReply.decode(reply).variables;
}
