import type { Clock, Monotonic } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import type { BootId, WorkerId } from '../../common/ids.js';
import type { Isolation } from '../../common/manifest.js';
import type { Bus, BusSubscription } from '../../common/ports/bus.js';
import { WorkerHeartbeat } from '../../wire/gen/holdfast/v1/bus.js';
import { allHeartbeatsSubject, heartbeatRequestSubject } from '../../wire/subjects.js';
import { Turnstile } from '../pins/turnstile.js';
import type { Offer } from './offer.js';
import type { Candidate } from './placement.js';
import { type Reservation, WorkerLoad } from './worker-load.js';

/** A worker that is silent for longer is not placed on, and its lease is read before its instances are handed out. */
const freshForMs = 3_000;
/** A silent boot is forgotten after this long. */
const rememberForMs = 600_000;
const maxBoots = 10_000;

/** One boot of a worker, as its heartbeats tell it. */
export interface KnownWorker {
  readonly account: string;
  readonly workerId: WorkerId;
  readonly bootId: BootId;
  heartbeat: WorkerHeartbeat;
  offer: Offer;
  recentFiles: ReadonlySet<string>;
  seenAt: Monotonic;
  readonly load: WorkerLoad;
}

/**
 * The workers of this router's accounts. All of it is a hint, for placing well and for answering fast; only leases decide
 * whether a worker lives (S8).
 */
export class Workers {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #boots = new Map<BootId, KnownWorker>();
  /** The boot that spoke last, by account and worker id: an older boot of a worker is of no interest to anyone. */
  readonly #latest = new Map<string, BootId>();
  readonly #subscriptions: BusSubscription[];
  /** Opens at every heartbeat and every room that came back. */
  readonly changes: Turnstile;

  constructor(options: { bus: Bus; clock: Clock; log: Logger; accounts: readonly string[] }) {
    const { bus, clock, log, accounts } = options;
    this.#clock = clock;
    this.#log = log;
    this.changes = new Turnstile(clock);
    this.#subscriptions = accounts.map((account) =>
      bus.subscribe(allHeartbeatsSubject(account), ({ payload, subject }) => this.#hear(account, subject, payload)),
    );
    for (const account of accounts) bus.publish(heartbeatRequestSubject(account), new Uint8Array());
  }

  /** Heard within the last 3 s, and its worker has not started again: assumed to live, until someone who could not reach it says otherwise. */
  isFresh(bootId: BootId): boolean {
    const boot = this.#boots.get(bootId);
    return boot !== undefined && this.#isLatest(boot) && this.#clock.monotonic() - boot.seenAt <= freshForMs;
  }

  /** Its lease is over: nobody has to wait for its silence. */
  sawEnd(bootId: BootId): void {
    const boot = this.#boots.get(bootId);
    if (boot !== undefined) boot.seenAt = Number.NEGATIVE_INFINITY;
  }

  /** All boots of the account that have been heard. */
  *boots(account: string): Iterable<BootId> {
    for (const boot of this.#boots.values()) if (boot.account === account) yield boot.bootId;
  }

  /** Since its last heartbeat; Infinity where it is not known. */
  silentMs(bootId: BootId): number {
    const seenAt = this.#boots.get(bootId)?.seenAt;
    return seenAt === undefined ? Infinity : this.#clock.monotonic() - seenAt;
  }

  heardSince(bootId: BootId, since: Monotonic): boolean {
    const seenAt = this.#boots.get(bootId)?.seenAt;
    return seenAt !== undefined && seenAt > since;
  }

  *candidates(account: string): Iterable<Candidate> {
    const freshAfter = this.#clock.monotonic() - freshForMs;
    for (const boot of this.#boots.values()) {
      if (boot.account !== account) continue;
      const isFresh = boot.seenAt >= freshAfter;
      if (isFresh || this.#isLatest(boot)) yield candidateOf(boot, isFresh);
    }
  }

  /** Takes the room of a placement until a heartbeat shows it; `release` gives it back after a refusal. */
  reserve(placed: Omit<Reservation, 'at'> & { readonly bootId: BootId }): { release(): void } {
    const { bootId, ...rest } = placed;
    const load = this.#boots.get(bootId)?.load;
    const reservation: Reservation = { at: this.#clock.monotonic(), ...rest };
    load?.reserve(reservation);
    return {
      release: () => {
        load?.release(reservation);
        this.changes.open();
      },
    };
  }

  /** The last boot of each worker of the account, by worker id. */
  list(account: string): KnownWorker[] {
    const latest = [...this.#boots.values()].filter((boot) => boot.account === account && this.#isLatest(boot));
    return latest.sort((a, b) => (a.workerId < b.workerId ? -1 : 1));
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.changes.open();
  }

  #hear(account: string, subject: string, payload: Uint8Array): void {
    let heartbeat: WorkerHeartbeat;
    let offer: Offer;
    try {
      heartbeat = WorkerHeartbeat.decode(payload);
      offer = parseOffer(heartbeat.offerJson);
    } catch (error) {
      this.#log.warn('heartbeat.malformed', { subject, bytes: payload.length, error: String(error) });
      return;
    }
    // Bus credentials bind a worker to its subject, so the subject tells who really spoke.
    if (!subject.endsWith(`.${heartbeat.workerId}`) || heartbeat.bootId === '') {
      this.#log.warn('heartbeat.foreign', { subject, workerId: heartbeat.workerId });
      return;
    }
    const now = this.#clock.monotonic();
    const boot = this.#boots.get(heartbeat.bootId as BootId) ?? this.#welcome(account, heartbeat, offer);
    boot.heartbeat = heartbeat;
    boot.offer = offer;
    boot.recentFiles = new Set(heartbeat.recentFiles);
    boot.seenAt = now;
    boot.load.report(heartbeat, now);
    this.#latest.set(nameOf(boot), boot.bootId);
    this.changes.open();
  }

  #isLatest(boot: KnownWorker): boolean {
    return this.#latest.get(nameOf(boot)) === boot.bootId;
  }

  #welcome(account: string, heartbeat: WorkerHeartbeat, offer: Offer): KnownWorker {
    this.#forgetSilent();
    const bootId = heartbeat.bootId as BootId;
    const workerId = heartbeat.workerId as WorkerId;
    const boot: KnownWorker = {
      ...{ account, workerId, bootId, heartbeat, offer },
      ...{ recentFiles: new Set<string>(), seenAt: 0, load: new WorkerLoad() },
    };
    this.#boots.set(bootId, boot);
    return boot;
  }

  #forgetSilent(): void {
    const heardAfter = this.#clock.monotonic() - rememberForMs;
    for (const boot of this.#boots.values()) {
      if (boot.seenAt < heardAfter || this.#boots.size >= maxBoots) this.#forget(boot);
    }
  }

  #forget(boot: KnownWorker): void {
    this.#boots.delete(boot.bootId);
    if (this.#isLatest(boot)) this.#latest.delete(nameOf(boot));
  }
}

function nameOf({ account, workerId }: KnownWorker): string {
  return `${account}/${workerId}`;
}

function candidateOf(boot: KnownWorker, isFresh: boolean): Candidate {
  const { heartbeat, load } = boot;
  return {
    workerId: boot.workerId,
    bootId: boot.bootId,
    address: heartbeat.address,
    state: heartbeat.state,
    isFresh,
    isolation: isolationOf(heartbeat.isolation),
    sandboxIsolation: isolationOf(heartbeat.sandboxIsolation),
    sandboxLack: heartbeat.sandboxLack,
    containers: load.containers,
    maxContainers: heartbeat.maxContainers,
    sandboxes: load.sandboxes,
    maxSandboxes: heartbeat.maxSandboxes,
    cpuCores: load.cpuCores,
    freeMemoryMb: load.freeMemoryMb,
    freeGpus: load.freeGpus,
    rooms: load.rooms,
    offer: boot.offer,
    recentFiles: boot.recentFiles,
  };
}

function isolationOf(text: string): Isolation {
  return text === 'bubblewrap' || text === 'gvisor' ? text : 'process';
}

function parseOffer(json: string): Offer {
  const offer: unknown = json === '' ? {} : JSON.parse(json);
  if (typeof offer !== 'object' || offer === null || Array.isArray(offer))
    throw new TypeError('offer is not an object');
  return offer as Offer;
}
