import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import { describeIdentity, instanceKey } from '../../common/ids.js';
import type { LeaseTimes } from '../../common/lease.js';
import { checkedIdentity } from '../../common/names.js';
import type { Pin } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import type { InstanceLoad } from '../../wire/gen/holdfast/v1/bus.js';
import type { ExplainView, InspectReply, InspectRequest } from '../../wire/gen/holdfast/v1/router.js';
import { instanceGone } from '../pins/instance-errors.js';
import type { Pins } from '../pins/pins.js';
import { lookAt } from '../pins/settle.js';
import { instanceView, readLoads } from '../placement/instance-loads.js';
import type { Leases } from '../placement/leases.js';
import type { Request } from '../service/request.js';

export interface InspectParts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pins: Pins;
  readonly leases: Leases;
  readonly leaseTimes: LeaseTimes;
}

/** One instance as it is now. @throws NotFound; InstanceGone for a handle of another generation */
export async function inspect(parts: InspectParts, ask: InspectRequest, request: Request): Promise<InspectReply> {
  const { app = '', className = '', id = '' } = ask.instance ?? {};
  const identity = checkedIdentity({ account: request.account, app, className, id });
  const pin = await parts.pins.read(instanceKey(identity), request);
  if (ask.generation !== 0 && pin?.generation !== ask.generation) throw instanceGone(identity, ask.generation, pin);
  if (pin === null) {
    throw new HoldfastError('NotFound', `there is no instance ${describeIdentity(identity)}; \`named\` makes it`, {
      details: { app, className, id },
    });
  }
  request.waiting.what = `worker ${pin.workerId} to describe the instance`;
  const loads = await readLoads(parts, [pin], request.signal);
  const load = loads.get(instanceKey(identity));
  const instance = instanceView(pin, load);
  return ask.explain ? { instance, explain: await explain(parts, pin, load) } : { instance };
}

async function explain(parts: InspectParts, pin: Pin, load: InstanceLoad | undefined): Promise<ExplainView> {
  const { chosen = '', score = 0, rejected = [], kept = [] } = pin.placement ?? {};
  return {
    chosen,
    score,
    rejected: [...rejected],
    kept: [...kept],
    leaseAgeMs: await leaseAgeMs(parts, pin.bootId),
    phasesMs: load?.phasesMs ?? {},
    transitions: [...pin.transitions],
    pool: load?.epoch === pin.epoch ? load.pool : undefined,
  };
}

/** Since its last renewal; a lease that is gone is older than its TTL. */
async function leaseAgeMs(
  { leases, leaseTimes }: Pick<InspectParts, 'leases' | 'leaseTimes'>,
  bootId: Pin['bootId'],
): Promise<number> {
  const boot = await lookAt(bootId, (id) => leases.look(id));
  return boot.phase === 'held' ? Math.max(0, leaseTimes.ttlMs - boot.remainingMs) : leaseTimes.ttlMs;
}
