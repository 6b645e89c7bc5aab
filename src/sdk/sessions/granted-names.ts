import { LRUCache } from 'lru-cache';
import type { Clock, Monotonic } from '../../common/clock.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { broughtArgsBytes, type MadeBody } from '../../wire/frames/frames.js';
import type { CreateOp, PinView } from '../../wire/gen/holdfast/v1/router.js';
import { unwatchAbort, watchAbort } from '../calls/abort-fan.js';
import { fromWireHandle, type Placement } from '../calls/placement.js';
import type { ClassInstanceHandle } from '../infos.js';
import type { KeepAlive } from './keep-alive.js';
import { cancelled } from './router-errors.js';
import type { RequestOptions } from './router-session.js';
import type { WorkerSession } from './worker-session.js';

/** What is deployed meanwhile is seen after this long at the latest (C11). */
const freshForMs = 2_000;
/** After a worker that did not make a name: routers may tell at once what it is to be. */
const refusedForMs = 1_000;
/** A worker that takes longer stands still, or its store does: a router may know better. */
const answerWithinMs = 1_000;
const maxClasses = 1_000;

interface Held {
  /** Empty: its worker has made none lately. */
  readonly grant: string;
  readonly at: Monotonic;
  readonly address: string;
  readonly deployment: number;
  readonly handle: ClassInstanceHandle;
}

interface Host {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly keepAlive: KeepAlive;
  session(address: string): WorkerSession;
}

/**
 * New names whose worker makes them by itself, without a router (S13). Whatever comes of that a router may be asked for the same
 * name afterwards: it finds what was made.
 */
export class GrantedNames {
  readonly #host: Host;
  readonly #held = new LRUCache<string, Held>({ max: maxClasses });

  constructor(host: Host) {
    this.#host = host;
  }

  /** @param at before it was asked for */
  learn(op: CreateOp, view: PinView, at: Monotonic): void {
    const { grant, address, deployment, handle } = view;
    if (grant === '' || handle === undefined) return;
    const name = nameOf(op);
    const known = this.#held.get(name);
    if (known?.grant === '' && at - known.at < refusedForMs) return;
    this.#held.set(name, { grant, at, address, deployment, handle: fromWireHandle(handle) });
  }

  /** Null: a router is to be asked. @throws Cancelled */
  async make(op: CreateOp, options: RequestOptions): Promise<Placement | null> {
    const held = this.#heldFor(op);
    if (held === null || options.signal?.aborted) return null;
    const { grant, address } = held;
    const body = { grant, id: op.id, ...(op.args === undefined ? {} : { args: op.args }) };
    const made = await this.#ask(this.#host.session(address), { op, body, options });
    if (made === null) {
      this.#held.set(nameOf(op), { ...held, grant: '', at: this.#host.clock.monotonic() });
      return null;
    }
    const { key, epoch, capability, signature } = made;
    const handle = Object.freeze({ ...held.handle, id: op.id, generation: epoch, signature });
    return { handle, key, epoch, address, capability, deployment: held.deployment, pin: null };
  }

  /** Something was deployed. */
  forget(): void {
    this.#held.clear();
  }

  #heldFor(op: CreateOp): Held | null {
    const isPlain = op.id !== '' && op.session === undefined && (op.args?.length ?? 0) <= broughtArgsBytes;
    const held = isPlain ? this.#held.get(nameOf(op)) : undefined;
    if (held === undefined || held.grant === '') return null;
    return this.#host.clock.monotonic() - held.at < freshForMs ? held : null;
  }

  #ask(
    session: WorkerSession,
    { op, body, options }: { op: CreateOp; body: Parameters<WorkerSession['make']>[0]; options: RequestOptions },
  ): Promise<MadeBody | null> {
    const { wheel, keepAlive } = this.#host;
    const { remainingMs, signal } = options;
    const limitMs = remainingMs === 0 ? answerWithinMs : Math.min(answerWithinMs, remainingMs);
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        wheel.remove(timer);
        if (signal !== undefined) unwatchAbort(signal, watcher);
        keepAlive.leave();
      };
      const forget = session.make(body, (made) => {
        settle();
        resolve(made);
      });
      const watcher = {
        aborted: () => {
          forget();
          settle();
          reject(cancelled({ $case: 'create', value: op }, 'unknown'));
        },
      };
      const timer = wheel.add(limitMs, () => {
        forget();
        settle();
        resolve(null);
      });
      if (signal !== undefined) watchAbort(signal, watcher);
      keepAlive.enter();
    });
  }
}

function nameOf({ app, className }: CreateOp): string {
  return `${app}\0${className}`;
}
