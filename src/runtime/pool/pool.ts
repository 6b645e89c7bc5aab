import { largestBatch } from '../../common/batches.js';
import type { Clock, Monotonic } from '../../common/clock.js';
import { isHoldfastError } from '../../common/errors.js';
import type { ClassOptions } from '../../common/manifest.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import { CancelReason } from '../../wire/frames/frames.js';
import type { WorkerCall } from '../calls/worker-call.js';
import type { Container } from '../hosting/container.js';
import type { Room } from '../hosting/container-place.js';
import type { Instance } from '../instances/instance.js';
import { LostContainers } from './lost-containers.js';
import { PoolCommits } from './pool-commits.js';
import { PoolMember } from './pool-member.js';
import type { PoolPlace, PoolState, Seat } from './pool-place.js';
import { WaitingCalls } from './waiting-calls.js';

export interface PoolDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Null: this worker has no room for another container, or takes none. */
  reserve(instance: Instance): Room | null;
  /** Another container, its `enter` hooks run. @param started told of it as soon as there is one @throws NoCapacity where there is none after all, ActivationFailed */
  enter(instance: Instance, room: Room, started: (container: Container) => void): Promise<PoolPlace>;
  /** `exit` hooks, then its place is free. Never rejects. */
  retire(instance: Instance, place: Seat): Promise<void>;
}

const noRoomHere = 'this worker takes no more containers';
/** A pool that nobody calls keeps its containers for that long, where its class does not say. */
const defaultIdleMs = 60_000;
/** After a container that could not be had. */
const restMs = 1_000;

/**
 * The containers of one pooled instance, on its worker and lent by others: how many there are, and which runs the next call. Admission, queue and
 * limits are those of the instance (C1); here its calls have their slots already, one for each that all containers together can
 * give.
 *
 * I1. Members, those that are being started, and those that were lost and may still run never exceed `maxContainers`.
 * I2. A member is given no more calls at once than `concurrentRequests`.
 * I3. No member outlives the activation of its instance: `close` waits for those that are being started and for those that leave;
 *     then whoever ends it waits for the `lost`.
 */
export class Pool {
  readonly commits = new PoolCommits<Uint8Array | 'stale'>();
  readonly lost = new LostContainers();
  readonly #instance: Instance;
  readonly #deps: PoolDeps;
  readonly #options: ClassOptions;
  readonly #max: number;
  /** 0: no method of it gathers calls. */
  readonly #batchSize: number;
  readonly #members: PoolMember[] = [];
  /** Calls with a slot, which no container has yet. */
  readonly #waiting = new WaitingCalls();
  /** The same of readers: they take no slot, and wait for the first container only. */
  readonly #waitingReaders = new WaitingCalls();
  /** Being started; null before there is a container. */
  readonly #starting = new Map<Promise<void>, { readonly room: Room; container: Container | null }>();
  readonly #retiring = new Map<Container, Promise<void>>();
  #restUntil: Monotonic = 0;
  /** Why there was no other container when one was wanted last; empty: there was one. */
  #lack = '';
  #look: WheelEntry | null = null;
  #rest: WheelEntry | null = null;
  #isOver = false;

  constructor(instance: Instance, deps: PoolDeps) {
    this.#instance = instance;
    this.#deps = deps;
    this.#options = instance.klass.options;
    this.#max = this.#options.maxContainers ?? 1;
    this.#batchSize = largestBatch(instance.klass.methods.values());
  }

  /** After this long without a call a container is not kept. */
  get idleMs(): number {
    return this.#options.idleTimeoutMs ?? defaultIdleMs;
  }

  /** Null: the instance never sleeps. */
  get sleepAfterMs(): number | null {
    return this.#least > 0 ? null : this.idleMs;
  }

  /** An activated container; the first one is the activation's own. */
  add(place: PoolPlace): void {
    this.#members.push(new PoolMember(place, this.#deps.clock.monotonic()));
    this.#look ??= this.#deps.wheel.add(this.idleMs, () => this.#lookForIdle());
  }

  /** Calls that no container has yet. */
  get waiting(): number {
    return this.#waiting.size + this.#waitingReaders.size;
  }

  /** It has its slot: who can run it now, unless others wait for that; null: nobody. */
  memberNow(call: WorkerCall): PoolMember | null {
    return !call.concurrent && this.#waiting.size > 0 ? null : this.#memberFor(call);
  }

  wait(call: WorkerCall): void {
    (call.concurrent ? this.#waitingReaders : this.#waiting).push(call);
  }

  /** The next that can begin, and where; it waits no more. */
  next(): { readonly call: WorkerCall; readonly member: PoolMember } | null {
    for (const waiting of [this.#waitingReaders, this.#waiting]) {
      const call = waiting.first;
      const member = call === null ? null : this.#memberFor(call);
      if (call === null || member === null) continue;
      waiting.shift();
      return { call, member };
    }
    return null;
  }

  /** False: it does not wait here. */
  withdraw(call: WorkerCall): boolean {
    return this.#waiting.withdraw(call) || this.#waitingReaders.withdraw(call);
  }

  takeWaiting(): WorkerCall[] {
    return [...this.#waitingReaders.takeAll(), ...this.#waiting.takeAll()];
  }

  /** Starts containers where there is work for them. */
  scale(): void {
    if (this.#isOver || this.#instance.phase !== 'active') return;
    const most = Math.min(this.#max - this.lost.size, this.#wanted() + this.#recalled);
    while (this.#members.length + this.#starting.size < most && this.#mayStart()) this.#start();
  }

  /** Its calls learn of it by themselves. */
  died(container: Container, gone: Promise<void> | null): void {
    const index = this.#members.findIndex((member) => member.container === container);
    if (index >= 0) this.#members.splice(index, 1);
    if (gone !== null) this.lost.add(gone, () => this.#instance.dispatch());
  }

  /** Its lender wants it back: the calls that it has may end, others go elsewhere. */
  recall(container: Container): void {
    const member = this.#members.find((each) => each.container === container);
    // No call has run yet in one that is being started; one that leaves is left to its hooks.
    if (member === undefined) return this.#retiring.has(container) ? undefined : container.kill();
    member.isRecalled = true;
    // As in a drain of its own worker: later its lender kills it.
    this.#deps.wheel.add(this.#options.exitTimeoutMs, () =>
      this.#instance.abortRunning(CancelReason.forceClose, (call) => call.member === member && call.container !== null),
    );
    this.returnIfIdle(member);
    this.scale();
  }

  /** One that is wanted back leaves with its last call. */
  returnIfIdle(member: PoolMember): void {
    const index = this.#members.indexOf(member);
    if (this.#isOver || !member.isRecalled || !member.mayLeave || index < 0) return;
    this.#members.splice(index, 1);
    this.#retire(member);
  }

  describe(): PoolState {
    const [starting, leaving, lost] = [this.#starting.size, this.#retiring.size, this.lost.size];
    return { members: this.#members, starting, leaving, lost, max: this.#max, lack: this.#lack };
  }

  /** No more members: those that are, once those that come or go have settled. */
  async close(): Promise<readonly Seat[]> {
    this.stop();
    // Nobody waits for their `enter` any more. One with others in it is not ours to end.
    const isOwn = this.#options.tasksPerContainer === 1;
    for (const { container } of this.#starting.values()) if (isOwn) container?.kill();
    await Promise.all([...this.#starting.keys(), ...this.#retiring.values()]);
    return this.#members;
  }

  kill(): void {
    for (const { container } of this.#members) container.kill();
  }

  /** Nothing more is started or looked at. */
  stop(): void {
    this.#isOver = true;
    for (const { room, container } of this.#starting.values()) if (container === null) room.cancel?.();
    for (const entry of [this.#look, this.#rest]) if (entry !== null) this.#deps.wheel.remove(entry);
    this.#look = null;
    this.#rest = null;
  }

  /** Least loaded first, and oldest first among those; null: nobody. */
  #memberFor(call: WorkerCall): PoolMember | null {
    let best: PoolMember | null = null;
    for (const member of this.#members) {
      if (!member.container.isUsable || member.isRecalled) continue;
      const isFull = !call.concurrent && member.running >= this.#options.concurrentRequests;
      if (!isFull && (best === null || member.loadFor(call) < best.loadFor(call))) best = member;
    }
    return best;
  }

  get #least(): number {
    return Math.min(this.#max, this.#options.minContainers ?? 0);
  }

  /** Members that get no more calls; they count as containers, and as nothing that calls could wait for. */
  get #recalled(): number {
    return this.#members.filter(({ isRecalled }) => isRecalled).length;
  }

  /** Beside those that are recalled. */
  #wanted(): number {
    let taken = this.#waiting.size;
    let batched = this.#waitingReaders.size;
    for (const member of this.#members) {
      if (member.isRecalled) continue;
      taken += member.running;
      batched += member.batched;
    }
    if (this.#batchSize > 0) taken += Math.ceil(batched / this.#batchSize);
    const busy = Math.max(Math.ceil(taken / this.#options.concurrentRequests), this.waiting > 0 ? 1 : 0);
    const wanted = Math.max(this.#least, busy + (this.#options.bufferContainers ?? 0));
    return Math.min(this.#max, wanted);
  }

  /** Twice as many at a time: quick calls that come together do not start as many containers as they are. */
  #mayStart(): boolean {
    const isResting = this.#deps.clock.monotonic() < this.#restUntil;
    return !isResting && this.#starting.size < Math.max(1, this.#members.length);
  }

  #start(): void {
    const room = this.#deps.reserve(this.#instance);
    if (room === null) return this.#takeRest(noRoomHere);
    const started: { readonly room: Room; container: Container | null } = { room, container: null };
    const starting = this.#bringUp(room, started).finally(() => {
      this.#starting.delete(starting);
      this.#instance.dispatch();
    });
    this.#starting.set(starting, started);
  }

  /** Never rejects. */
  async #bringUp(room: Room, started: { container: Container | null }): Promise<void> {
    const instance = this.#instance;
    try {
      // A turn later: it is on the books by then.
      await Promise.resolve();
      const place = await this.#deps.enter(instance, room, (container) => {
        started.container = container;
      });
      if (this.#isOver) return await this.#deps.retire(instance, place);
      if (place.container.isUsable) this.add(place);
      this.#lack = '';
    } catch (error) {
      room.release();
      this.#takeRest(error instanceof Error ? error.message : String(error));
      // They wait as they would for a worker with room.
      if (isHoldfastError(error, 'NoCapacity')) return;
      // Those who wait would wait for the next failure (C3); where others run, they wait for those.
      if (!this.#isOver && this.#members.length === 0 && this.#starting.size === 1) instance.dispatch({ error });
    }
  }

  /** Calls may wait meanwhile: they are looked at again. */
  #takeRest(lack: string): void {
    const { clock, wheel } = this.#deps;
    this.#lack = lack;
    this.#restUntil = clock.monotonic() + restMs;
    if (this.#isOver) return;
    this.#rest ??= wheel.add(restMs, () => {
      this.#rest = null;
      this.#instance.dispatch();
    });
  }

  /** One entry of the wheel for the pool, in which the oldest members leave last. */
  #lookForIdle(): void {
    const { clock, wheel } = this.#deps;
    const now = clock.monotonic();
    const kept = Math.max(1, this.#wanted()) + this.#recalled;
    for (let index = this.#members.length - 1; index >= 0 && this.#members.length > kept; index -= 1) {
      const member = this.#members[index];
      if (member === undefined || member.isRecalled || !member.mayLeave || now - member.idleSince < this.idleMs)
        continue;
      this.#members.splice(index, 1);
      this.#retire(member);
    }
    this.#look = wheel.add(this.idleMs, () => this.#lookForIdle());
    this.#instance.dispatch();
  }

  #retire(member: PoolMember): void {
    const { container } = member;
    const retiring = this.#deps.retire(this.#instance, member).finally(() => this.#retiring.delete(container));
    this.#retiring.set(container, retiring);
  }
}
