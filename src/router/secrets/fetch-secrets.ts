import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { describeIdentity, type InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import { mountSecrets } from '../../common/volume-mounts.js';
import type { FetchSecretsReply, FetchSecretsRequest } from '../../wire/gen/holdfast/v1/router.js';
import { verifyLoanTicket } from '../../wire/loan-ticket.js';
import type { Deployments } from '../apps/deployments.js';
import type { Pins } from '../pins/pins.js';
import type { Request } from '../service/request.js';
import type { SigningKeys } from '../service/signing-keys.js';
import type { Secrets } from './secrets.js';

interface FetchParts {
  readonly clock: Clock;
  readonly pins: Pins;
  readonly deployments: Deployments;
  readonly keys: SigningKeys;
  readonly secrets: Secrets;
}

/**
 * What the class of an instance names, for the worker to which its pin gives it, and for those that lend that one containers: no
 * worker learns secrets of what runs elsewhere. @throws NotFound naming what is missing, PermissionDenied
 */
export async function fetchSecrets(
  parts: FetchParts,
  { key, epoch, bootId, mountSecrets: asked, loan }: FetchSecretsRequest,
  request: Request,
): Promise<FetchSecretsReply> {
  const pin = await parts.pins.read(key as InstanceKey, request);
  const isHere =
    pin !== null &&
    pin.identity.account === request.account &&
    (pin.state === 'placing' || pin.state === 'active') &&
    pin.epoch === epoch &&
    (pin.bootId === bootId || (loan !== undefined && (await isLent(parts, { pin, key, bootId, loan }))));
  if (!isHere) {
    throw new HoldfastError(
      'PermissionDenied',
      `boot ${bootId} asks for secrets of an instance that is not placed on it`,
    );
  }
  const { app, className } = pin.identity;
  const { manifest } = await parts.deployments.lookup(request.account, app, pin.deployment);
  const { secrets = [], volumes = [] } = manifest.classes[className]?.options ?? {};
  const who = describeIdentity(pin.identity);
  if (asked.length === 0)
    return { variables: { ...(await parts.secrets.variables(who, secrets, request)) }, mounts: {} };
  const named = mountSecrets(volumes);
  const foreign = asked.find((name) => !named.includes(name));
  if (foreign !== undefined)
    throw new HoldfastError(
      'PermissionDenied',
      `${who} mounts nothing with secret '${foreign}', which boot ${bootId} asks for`,
    );
  const mounts = await parts.secrets.each(who, asked, request);
  return { variables: {}, mounts: Object.fromEntries(mounts.map(([name, variables]) => [name, { variables }])) };
}

/** @throws PermissionDenied for a ticket that is none */
async function isLent(
  { clock, keys }: FetchParts,
  {
    pin,
    key,
    bootId,
    loan,
  }: { readonly pin: Pin; readonly loan: string } & Pick<FetchSecretsRequest, 'key' | 'bootId'>,
): Promise<boolean> {
  const ticket = await keys.verify(pin.identity.account, (known) => verifyLoanTicket(known, loan, clock.now()));
  return (
    ticket.lender === bootId &&
    ticket.borrower === pin.bootId &&
    ticket.instanceKey === key &&
    ticket.epoch === pin.epoch
  );
}
