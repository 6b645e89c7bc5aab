import { HoldfastError } from '../../common/errors.js';
import { describeIdentity, type Identity } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { Rejection } from '../placement/placement.js';

export function instanceGone(identity: Identity, generation: number, pin: Pin | null): HoldfastError {
  const now =
    pin === null
      ? 'no record of it is left'
      : pin.generation === generation
        ? 'it was closed'
        : `that id is at generation ${pin.generation} now`;
  return new HoldfastError(
    'InstanceGone',
    `instance ${describeIdentity(identity)} of generation ${generation} is gone: ${now}; make or join the current one with \`named\``,
    { details: { ...nameOf(identity), generation, currentGeneration: pin?.generation ?? null } },
  );
}

export function instanceLost(pin: Pin): HoldfastError {
  const where = pin.workerId === null ? 'its worker' : `worker ${pin.workerId}`;
  return new HoldfastError(
    'InstanceLost',
    `instance ${describeIdentity(pin.identity)} was lost with ${where} and its onLoss is 'fail'; close it, then make it again`,
    { details: { ...nameOf(pin.identity), generation: pin.generation, epoch: pin.epoch, workerId: pin.workerId } },
  );
}

/** Arguments are the user's data: hashes may be shown, values never. */
export function instanceConflict(pin: Pin, argsHash: string): HoldfastError {
  const [what, given] = pin.kind === 'sandbox' ? ['session', 'options'] : ['instance', 'constructor arguments'];
  return new HoldfastError(
    'InstanceConflict',
    `${what} ${describeIdentity(pin.identity)} was made with other ${given} ` +
      `(hash ${pin.argsHash}, given ${argsHash}); give the first ones, give none to join it, or close it first`,
    { details: { ...nameOf(pin.identity), argsHash: pin.argsHash, givenArgsHash: argsHash } },
  );
}

export function noCapacity(identity: Identity, rejected: readonly Rejection[]): HoldfastError {
  const reasons = rejected.slice(0, shownRejections).map(({ workerId, why }) => `${workerId} (${why})`);
  const more = rejected.length > shownRejections ? ` and ${rejected.length - shownRejections} more` : '';
  const said =
    reasons.length === 0 ? 'no worker is known; start one with `holdfast worker`' : reasons.join(', ') + more;
  return new HoldfastError(
    'NoCapacity',
    `no worker took instance ${describeIdentity(identity)} until the deadline: ${said}`,
    { details: { ...nameOf(identity), rejected: rejected.slice(0, maxDetails) } },
  );
}

/** Its volume is on one host, which does not take it. */
export function volumeUnavailable(
  identity: Identity,
  { volume, host, isThere }: { readonly volume: string; readonly host: string; readonly isThere: boolean },
  rejected: readonly Rejection[],
): HoldfastError {
  const why = rejected.find(({ workerId }) => workerId === host)?.why ?? 'is not known here';
  const next = isThere ? 'make room there' : 'start that worker again, with its data folder';
  return new HoldfastError(
    'VolumeUnavailable',
    `volume ${volume} of ${describeIdentity(identity)} is on worker ${host}, which cannot take it: ${why}; ${next}, or use a volume of another name`,
    { details: { ...nameOf(identity), volume, host } },
  );
}

export function sandboxUnavailable(
  identity: Identity,
  lacks: readonly { readonly workerId: string; readonly why: string | null }[],
): HoldfastError {
  const reasons = lacks.slice(0, shownRejections).map(({ workerId, why }) => `${workerId} (${why})`);
  return new HoldfastError(
    'SandboxUnavailable',
    `no worker can isolate ${describeIdentity(identity)}: ${reasons.join(', ')}`,
    { details: nameOf(identity) },
  );
}

const shownRejections = 8;
const maxDetails = 1_000;

function nameOf({ app, className, id }: Identity): { app: string; className: string; id: string } {
  return { app, className, id };
}
