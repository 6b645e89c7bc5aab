import type { Monotonic } from '../../common/clock.js';
import { gpuDemand } from '../../common/gpu-demand.js';
import type { ClassOptions, ResourceKind } from '../../common/manifest.js';

/** Room that a heartbeat speaks of. */
export interface Capacity {
  readonly containers: number;
  readonly sandboxes: number;
  readonly cpuCores: number;
  readonly freeMemoryMb: number;
  readonly freeGpus: number;
  /** By container label: how many more instances they take. */
  readonly openPlaces: Readonly<Record<string, number>>;
}

/** What one placement takes, until a heartbeat tells of it. */
export interface Reservation {
  readonly at: Monotonic;
  readonly label: string;
  readonly kind: ResourceKind;
  readonly options: ClassOptions;
  /** Of a container that runs already, or that another reservation starts. */
  readonly usesRoom: boolean;
}

/** A heartbeat tells of what was placed this long before it arrived. */
const heartbeatLagMs = 250;

/**
 * How full a worker is: its last heartbeat, and what this router has placed there since, so that a burst spreads instead of
 * going to the worker that was emptiest a second ago. Other routers' placements are not known: the worker refuses what does
 * not fit.
 */
export class WorkerLoad {
  containers = 0;
  sandboxes = 0;
  cpuCores = 0;
  freeMemoryMb = 0;
  freeGpus = 0;
  readonly rooms = new Map<string, number>();
  readonly #reserved = new Set<Reservation>();

  /** A heartbeat arrived at `now`. */
  report(capacity: Capacity, now: Monotonic): void {
    this.containers = capacity.containers;
    this.sandboxes = capacity.sandboxes;
    this.cpuCores = capacity.cpuCores;
    this.freeMemoryMb = capacity.freeMemoryMb;
    this.freeGpus = capacity.freeGpus;
    this.rooms.clear();
    for (const [label, places] of Object.entries(capacity.openPlaces)) this.#addRooms(label, places);
    for (const reservation of this.#reserved) {
      if (reservation.at <= now - heartbeatLagMs) this.#reserved.delete(reservation);
      else this.#apply(reservation, 1);
    }
  }

  reserve(reservation: Reservation): void {
    this.#reserved.add(reservation);
    this.#apply(reservation, 1);
  }

  /** The worker refused it. */
  release(reservation: Reservation): void {
    if (this.#reserved.delete(reservation)) this.#apply(reservation, -1);
  }

  #apply({ label, kind, options, usesRoom }: Reservation, sign: 1 | -1): void {
    if (usesRoom) {
      this.#addRooms(label, -sign);
      return;
    }
    if (kind === 'sandbox') this.sandboxes += sign;
    else this.containers += sign;
    if (kind === 'class') this.freeGpus -= sign * gpuDemand(options.placement);
    if (options.tasksPerContainer > 1) this.#addRooms(label, sign * (options.tasksPerContainer - 1));
  }

  #addRooms(label: string, count: number): void {
    const rooms = (this.rooms.get(label) ?? 0) + count;
    if (rooms > 0) this.rooms.set(label, rooms);
    else this.rooms.delete(label);
  }
}
