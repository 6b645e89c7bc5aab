import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Epoch, InstanceKey } from '../../common/ids.js';
import type { AlarmCall } from '../../common/instance-alarm.js';
import type { Alarm } from '../../common/ports/alarm-store.js';
import type { Store } from '../../common/ports/store.js';
import { encodeArgs } from '../../wire/codec/codec.js';
import { decodeError } from '../../wire/errors.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import { readBody, readPayload } from '../../wire/frames/frame-reader.js';
import { FrameKind, frameOffsets } from '../../wire/frames/frames.js';
import { callFrame } from '../calls/call-frame.js';
import { type Caller, WorkerCall } from '../calls/worker-call.js';
import type { LogBook } from '../log-book.js';
import { LogGate } from '../log-gate.js';
import type { Instance } from './instance.js';

export interface AlarmsDeps {
  readonly store: Pick<Store, 'alarms'>;
  readonly instances: ReadonlyMap<InstanceKey, Instance>;
  /** False: this boot is over (S7). */
  readonly mayRun: () => boolean;
  readonly clock: Clock;
  readonly logs: Pick<LogBook, 'write'>;
}

/** How the method of an alarm ended, or why it failed; `not-run`: it never began, somebody rings again. */
type End = 'returned' | HoldfastError | 'not-run';

const firstRetryMs = 2_000;
const longestRetryMs = 600_000;

/**
 * Rings the alarms of instances that are here (A2): each is a call of the class's `@alarm()` method, admitted as any other.
 *
 * I1. Of one instance at most one rings here: routers ask again while its method runs.
 * I2. What the store is told afterwards names the alarm: one that was set meanwhile stands.
 * I3. Nobody waits for its answer: what it failed for is a line in the log of its instance.
 */
export class Alarms {
  readonly #deps: AlarmsDeps;
  readonly #ringing = new Set<Instance>();
  readonly #gate: LogGate;

  constructor(deps: AlarmsDeps) {
    this.#deps = deps;
    this.#gate = new LogGate(deps.clock);
  }

  /** A router has found it due. Where it is not here any more, or cannot be called, the router asks again. */
  ring(key: InstanceKey, epoch: Epoch, id: string): void {
    const instance = this.#deps.instances.get(key);
    if (instance?.epoch !== epoch || instance.refusing !== null || this.#ringing.has(instance)) return;
    this.#ringing.add(instance);
    void this.#ring(instance, id)
      .catch(() => undefined) // the store is away: a router asks again
      .finally(() => this.#ringing.delete(instance));
  }

  async #ring(instance: Instance, id: string): Promise<void> {
    const { alarms } = this.#deps.store;
    const alarm = await alarms.get(instance.key);
    // Deleted or set anew, or it rang and failed, since the router looked.
    if (alarm?.id !== id || !this.#deps.mayRun() || instance.refusing !== null) return;
    const end = await ringIn(instance, alarm);
    if (end === 'not-run' || !this.#deps.mayRun()) return;
    if (end !== 'returned') this.#log(instance, alarm, end);
    const owner = { key: instance.key, epoch: instance.epoch };
    // By the store's clock: this host's may be another.
    const waitMs =
      end === 'returned' ? null : Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(alarm.failures, 20));
    const ended = await alarms.ended(owner, id, waitMs);
    if (ended === 'stale' || ended.dueMs === null) return;
    await alarms.expect(instance.identity.account, instance.key, ended.dueMs);
  }

  #log(instance: Instance, { failures }: Alarm, { code, message }: HoldfastError): void {
    const { app, className } = instance.identity;
    const said = { level: 'error', message: `the alarm failed at attempt ${failures + 1}: ${code}: ${message}` };
    this.#deps.logs.write({ app, className, instance }, encodeBody(said), this.#gate);
  }
}

function ringIn(instance: Instance, { atMs, failures }: Alarm): Promise<End> {
  const method = instance.klass.alarm;
  // Deployed again without one: perhaps the next deployment has it.
  if (method === null) return Promise.resolve(new HoldfastError('NotFound', 'the class has no method for alarms'));
  return new Promise((resolve) => {
    const caller = new AlarmCaller(resolve);
    const call = new WorkerCall({
      ...{ caller, ref: 0, instance, method, chain: null, deadlineAt: null, trace: null },
      // Whether it has begun must be known here.
      isKeyed: true,
    });
    caller.call = call;
    const argument: AlarmCall = { scheduledAt: new Date(atMs), attempt: failures + 1 };
    instance.calls.accept(call, callFrame(method.name, encodeArgs([argument])));
  });
}

/** Who hears how the method ended; what it returned is nobody's. */
class AlarmCaller implements Caller {
  call: WorkerCall | null = null;
  readonly #resolve: (end: End) => void;

  constructor(resolve: (end: End) => void) {
    this.#resolve = resolve;
  }

  forward(frame: Buffer): void {
    const kind = frame[frameOffsets.kind];
    if (kind === FrameKind.Error) return this.#resolve(decodeError(readBody(frame)));
    if (kind !== FrameKind.Result) return;
    const { total, bytes } = readPayload(frame);
    // The rest of it has to come, so that the call can end.
    if (total > bytes.length) this.call?.container?.credit(this.call, total - bytes.length);
    this.#resolve('returned');
  }

  fail(_ref: number, thrown: unknown): void {
    const error = isHoldfastError(thrown) ? thrown : new HoldfastError('Internal', String(thrown));
    this.#resolve(error.outcome === 'not-run' ? 'not-run' : error);
  }

  moved(): void {
    this.#resolve('not-run');
  }

  done(): void {
    // Whatever ended it has said how.
  }
}
