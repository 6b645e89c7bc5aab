import { setMaxListeners } from 'node:events';
import type { Clock, Random } from '../common/clock.js';
import type { Logger } from '../common/context.js';
import type { LeaseTimes } from '../common/lease.js';
import type { Pin } from '../common/pin.js';
import type { Bus } from '../common/ports/bus.js';
import type { Kms } from '../common/ports/kms.js';
import type { ObjectStore } from '../common/ports/object-store.js';
import type { Store } from '../common/ports/store.js';
import { TimerWheel } from '../common/timer-wheel.js';
import { Deployments } from './apps/deployments.js';
import { Redeploys } from './apps/redeploy.js';
import { Activator } from './pins/activator.js';
import { BroughtPins } from './pins/brought-pins.js';
import { Flights } from './pins/flights.js';
import { NewNames } from './pins/new-names.js';
import { PinEvents } from './pins/pin-events.js';
import { PinViews } from './pins/pin-views.js';
import { Pins } from './pins/pins.js';
import { Settler } from './pins/settle.js';
import { Leases } from './placement/leases.js';
import { LocalVolumes } from './placement/local-volumes.js';
import { PlaceSender } from './placement/place-sender.js';
import { Workers } from './placement/workers.js';
import { Secrets } from './secrets/secrets.js';
import { Authenticator } from './service/auth.js';
import type { RouterMetrics } from './service/metrics.js';
import { SigningKeys } from './service/signing-keys.js';
import { SpawnedEnds } from './spawned-ends.js';

/** What a router is given: it owns none of it and closes none of it. */
export interface RouterDeps {
  readonly routerId: string;
  /** Those it serves; tokens of others are refused. */
  readonly accounts: readonly string[];
  readonly store: Store;
  readonly bus: Bus;
  readonly objects: ObjectStore;
  /** Null: secrets cannot be used. */
  readonly kms: Kms | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly leaseTimes: LeaseTimes;
  readonly metrics: RouterMetrics | null;
}

const wheelTickMs = 10;

export type RouterParts = ReturnType<typeof createRouterParts>;

/** The parts of a router, wired; nothing of it is state that another router lacks. */
export function createRouterParts(deps: RouterDeps) {
  const { store, bus, clock, random, log, accounts, leaseTimes, metrics } = deps;
  const ending = new AbortController();
  const closed: AbortSignal = ending.signal;
  // Every request to a worker listens to it.
  setMaxListeners(0, closed);
  const wheel = new TimerWheel(clock, wheelTickMs);
  const keys = new SigningKeys({ store: store.keys, clock, random });
  const auth = new Authenticator({ store: store.keys, keys, clock, accounts });
  const pins = new Pins({ store: store.pins, bus, clock, random });
  const ends = new SpawnedEnds(wheel);
  const events = new PinEvents({ bus, clock, log, accounts, ends });
  const leases = new Leases({ store: store.leases, clock, times: leaseTimes });
  const workers = new Workers({ bus, clock, log, accounts });
  const deployments = new Deployments({ store: store.apps, clock });
  const localVolumes = new LocalVolumes({ volumes: store.volumes, clock });
  const activator = new Activator({ clock, random, pins, workers, deployments, localVolumes });
  const sender = new PlaceSender({ bus, closed, metrics });
  const newNames = new NewNames();
  const brought = new BroughtPins({
    ...{ clock, sender, pins, closed },
    settle: (key, pin, flight) => settler.settle({ key, making: null, failedEpoch: null }, pin, flight),
  });
  const settler: Settler = new Settler({
    clock,
    log,
    pins,
    events,
    leases,
    workers,
    activator,
    sender,
    brought,
    newNames,
  });
  const flights = new Flights<Pin | null>(clock);
  const views = new PinViews({ keys, clock });
  const secrets = new Secrets({ store: store.secrets, kms: deps.kms, clock, random });
  const redeploys = new Redeploys({ pins: store.pins, bus, clock, log, closed });
  const close = (): void => {
    ending.abort();
    workers.close();
    events.close();
    wheel.clear();
  };
  const made = {
    auth,
    closed,
    deployments,
    ends,
    events,
    flights,
    keys,
    leases,
    localVolumes,
    newNames,
    pins,
    redeploys,
    secrets,
    sender,
    settler,
    views,
    wheel,
    workers,
  };
  return { ...deps, ...made, close };
}
