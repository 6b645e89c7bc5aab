import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { type BootId, describeIdentity, type InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { BorrowReply, BorrowRequest } from '../../wire/gen/holdfast/v1/router.js';
import { mintLoanTicket } from '../../wire/loan-ticket.js';
import type { Deployments } from '../apps/deployments.js';
import type { Pins } from '../pins/pins.js';
import type { Request } from '../service/request.js';
import type { SigningKeys } from '../service/signing-keys.js';
import { filesNeeded } from './files-needed.js';
import type { LocalVolumes } from './local-volumes.js';
import { choosePlacement, type Rejection } from './placement.js';
import type { Workers } from './workers.js';

interface LendParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly pins: Pins;
  readonly workers: Workers;
  readonly deployments: Deployments;
  readonly localVolumes: LocalVolumes;
  readonly keys: SigningKeys;
}

/** From its choice here to the lender's look at it. */
const ticketForMs = 30_000;
const mostRefused = 64;
/** Of no container that runs: one that is lent belongs to its borrower alone. */
const noLabel = '';

/**
 * A worker that lends the pool at `bootId` another container. Answers at once: whoever asks has calls that run elsewhere, and comes
 * back. @throws NoCapacity with each worker's reason, PermissionDenied where the pool is not there, InvalidArgument where it is no pool
 */
export async function lend(parts: LendParts, ask: BorrowRequest, request: Request): Promise<BorrowReply> {
  const pin = await parts.pins.read(ask.key as InstanceKey, request);
  const isHere =
    pin?.state === 'active' &&
    pin.identity.account === request.account &&
    pin.bootId === ask.bootId &&
    pin.epoch === ask.epoch;
  if (!isHere)
    throw new HoldfastError('PermissionDenied', `boot ${ask.bootId} borrows for an instance that it does not have`);
  const { identity } = pin;
  const deployment = await parts.deployments.lookup(identity.account, identity.app, pin.deployment);
  const manifest = deployment.manifest.classes[identity.className];
  if (manifest === undefined)
    throw new HoldfastError('NotFound', `deployment ${pin.deployment} has no ${identity.app}/${identity.className}`);
  if ((manifest.options.maxContainers ?? 1) < 2)
    throw new HoldfastError('InvalidArgument', `${describeIdentity(identity)} has one container and borrows no others`);
  const options = { ...manifest.options, tasksPerContainer: 1 };
  const local = await parts.localVolumes.neededBy(
    { identity, args: pin.args },
    { deployment, manifest, label: noLabel },
  );
  const demand = {
    kind: 'class',
    options,
    label: noLabel,
    home: null,
    local,
    files: filesNeeded(manifest, pin.args),
    refused: refusals(ask),
  } as const;
  const placement = choosePlacement(demand, parts.workers.candidates(identity.account), parts.random);
  if (placement.chosen === null) throw nobodyLends(pin, placement.rejected);
  const { workerId, bootId, address } = placement.chosen;
  parts.workers.reserve({ bootId, label: noLabel, kind: 'class', options, usesRoom: false });
  const ticket = mintLoanTicket(await parts.keys.signer(identity.account), {
    identity,
    instanceKey: ask.key as InstanceKey,
    epoch: pin.epoch,
    deployment: pin.deployment,
    borrower: ask.bootId as BootId,
    lender: bootId,
    expiresAtMs: parts.clock.now() + ticketForMs,
  });
  return { workerId, bootId, address, ticket };
}

function refusals({ bootId, refused }: BorrowRequest): ReadonlyMap<BootId, string> {
  const asked = refused.slice(0, mostRefused).map((refusal) => [refusal.bootId as BootId, refusal.why] as const);
  return new Map([[bootId as BootId, 'it has the pool and no room for another container'], ...asked]);
}

function nobodyLends({ identity }: Pin, rejected: readonly Rejection[]): HoldfastError {
  const reasons = rejected.slice(0, shownRejections).map(({ workerId, why }) => `${workerId} (${why})`);
  const said = reasons.length === 0 ? 'no worker is known' : reasons.join(', ');
  return new HoldfastError(
    'NoCapacity',
    `no worker has room for a container of ${describeIdentity(identity)}: ${said}`,
    {
      details: { rejected: rejected.slice(0, shownRejections) },
    },
  );
}

const shownRejections = 8;
