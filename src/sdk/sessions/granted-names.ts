import { LRUCache } from 'lru-cache';
import type { Clock, Monotonic } from '../../common/clock.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { broughtArgsBytes, type MadeBody, type MakeBody } from '../../wire/frames/frames.js';
import type { CreateOp, GrantOp, GrantView, PinView } from '../../wire/gen/holdfast/v1/router.js';
import { unwatchAbort, watchAbort } from '../calls/abort-fan.js';
import { type BoundSlot, fromWireHandle, type Placement } from '../calls/placement.js';
import type { ClassInstanceHandle } from '../infos.js';
import type { KeepAlive } from './keep-alive.js';
import { cancelled } from './router-errors.js';
import type { RequestOptions } from './router-session.js';
import type { WorkerSession } from './worker-session.js';

/** What is deployed meanwhile is seen after this long at the latest (C11). */
const freshForMs = 2_000;
/** The next one is asked for when a name is made with one that is older, */
const renewedFromMs = 1_000;
/** this much later, when that name has had its first call. */
const renewAfterMs = 20;
/** After a worker that did not make a name: routers may tell at once what it is to be. */
const refusedForMs = 1_000;
/** A worker that takes longer stands still, or its store does: a router may know better. */
const answerWithinMs = 1_000;
const maxClasses = 1_000;

interface Held {
  readonly grant: string;
  readonly at: Monotonic;
  readonly address: string;
  readonly deployment: number;
  readonly handle: ClassInstanceHandle;
  isRenewed: boolean;
}

interface Question {
  readonly op: CreateOp;
  readonly body: MakeBody;
  readonly options: RequestOptions;
}

interface Answer {
  readonly made: MadeBody;
  readonly slot: number;
}

/** Where it is, and what names it there. */
export interface MadeName {
  readonly placement: Placement;
  readonly bound: BoundSlot;
}

interface Host {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly keepAlive: KeepAlive;
  session(address: string): WorkerSession;
  /** The next one. @throws what the router answers */
  grant(op: GrantOp): Promise<GrantView>;
}

/**
 * New names whose worker makes them by itself, without a router (S13). Whatever comes of that a router may be asked for the same
 * name afterwards: it finds what was made.
 */
export class GrantedNames {
  readonly #host: Host;
  readonly #held = new LRUCache<string, Held>({ max: maxClasses });
  /** When a worker did not make one, by class. */
  readonly #refusedAt = new LRUCache<string, Monotonic>({ max: maxClasses });
  /** By app: what this program has deployed itself. */
  readonly #deployed = new Map<string, number>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** @param at before it was asked for */
  learn(op: CreateOp, view: PinView, at: Monotonic): void {
    const { grant, address, deployment, handle } = view;
    if (handle === undefined || !this.#isGood(op.app, view)) return;
    this.#held.set(nameOf(op), { grant, at, address, deployment, handle: fromWireHandle(handle), isRenewed: false });
  }

  /** Null: a router is to be asked. @throws Cancelled */
  async make(op: CreateOp, options: RequestOptions): Promise<MadeName | null> {
    const held = this.#heldFor(op);
    if (held === null || options.signal?.aborted) return null;
    this.#renewSoon(op, held);
    const { grant, address } = held;
    const body = { grant, id: op.id, ...(op.args === undefined ? {} : { args: op.args }) };
    const session = this.#host.session(address);
    const answer = await this.#ask(session, { op, body, options });
    if (answer === null) {
      this.#refusedAt.set(nameOf(op), this.#host.clock.monotonic());
      return null;
    }
    const { key, epoch, signature } = answer.made;
    const handle = Object.freeze({ ...held.handle, id: op.id, generation: epoch, signature });
    // Where the slot does not do any more, a router gives the right to call it.
    const placement = { handle, key, epoch, address, capability: '', deployment: held.deployment, pin: null };
    return { placement, bound: { session, slot: answer.slot } };
  }

  /** This program has deployed: what it makes from now on runs on that, or on what came after it. */
  deployed(app: string, version: number): void {
    this.#deployed.set(app, Math.max(version, this.#deployed.get(app) ?? 0));
    this.#held.clear();
  }

  #heldFor(op: CreateOp): Held | null {
    const isPlain = op.id !== '' && op.session === undefined && (op.args?.length ?? 0) <= broughtArgsBytes;
    const held = isPlain ? this.#held.get(nameOf(op)) : undefined;
    if (held === undefined) return null;
    const now = this.#host.clock.monotonic();
    const refusedAt = this.#refusedAt.get(nameOf(op)) ?? Number.NEGATIVE_INFINITY;
    return now - held.at < freshForMs && now - refusedAt >= refusedForMs ? held : null;
  }

  /** Beside the way of whoever makes names; where nobody does, nobody asks. */
  #renewSoon({ app, className }: CreateOp, held: Held): void {
    const { clock, wheel } = this.#host;
    if (held.isRenewed || clock.monotonic() - held.at < renewedFromMs) return;
    held.isRenewed = true;
    wheel.add(renewAfterMs, () => void this.#renew({ app, className }, held));
  }

  /** What fails is not tried again: a router is asked for the name that comes when this one is too old. */
  async #renew(op: GrantOp, held: Held): Promise<void> {
    const at = this.#host.clock.monotonic();
    const next = await this.#host.grant(op).catch(() => null);
    // Deployed or learned anew meanwhile.
    if (next === null || !this.#isGood(op.app, next) || this.#held.get(nameOf(op)) !== held) return;
    this.#held.set(nameOf(op), { ...next, at, handle: held.handle, isRenewed: false });
  }

  /** There is one, and of nothing older than what this program has deployed. */
  #isGood(app: string, { grant, deployment }: GrantView): boolean {
    return grant !== '' && deployment >= (this.#deployed.get(app) ?? 0);
  }

  #ask(session: WorkerSession, { op, body, options }: Question): Promise<Answer | null> {
    const { wheel, keepAlive } = this.#host;
    const { remainingMs, signal } = options;
    // A router needs time as well.
    const limitMs = remainingMs === 0 ? answerWithinMs : Math.min(answerWithinMs, remainingMs / 2);
    return new Promise((resolve, reject) => {
      let forget = (): void => undefined;
      const settle = (): void => {
        forget();
        wheel.remove(timer);
        if (signal !== undefined) unwatchAbort(signal, watcher);
        keepAlive.leave();
      };
      const timer = wheel.add(limitMs, () => {
        settle();
        resolve(null);
      });
      const watcher = {
        aborted: () => {
          settle();
          reject(cancelled({ $case: 'create', value: op }, 'unknown'));
        },
      };
      keepAlive.enter();
      if (signal !== undefined) watchAbort(signal, watcher);
      forget = session.make(body, (made, slot) => {
        settle();
        resolve(made === null ? null : { made, slot });
      });
    });
  }
}

function nameOf({ app, className }: GrantOp): string {
  return `${app}\0${className}`;
}
