import { encodeArgs, hashArgs } from '../../../src/wire/codec/codec.js';
import { app, type Limits, Recorder } from './recorder.js';

const serial: Limits = { concurrentRequests: 1, maxPendingTasks: 12 };
const quick: Limits = { concurrentRequests: 1, maxPendingTasks: 48 };
const wide: Limits = { concurrentRequests: 3, maxPendingTasks: 5 };

const times = { startupTimeoutMs: 6_000, exitTimeoutMs: 4_000, timeoutMs: 15_000 };

/** Several in a container, one call at a time. */
@app.cls({ ...serial, ...times, tasksPerContainer: 3 })
class Serial extends Recorder {
  readonly limits = serial;
}

/** Its queue is longer than what is sent ahead. */
@app.cls({ ...quick, ...times, tasksPerContainer: 2 })
class Quick extends Recorder {
  readonly limits = quick;
}

/** All in one container. */
@app.cls({ ...serial, ...times, tasksPerContainer: 60 })
class Packed extends Recorder {
  readonly limits = serial;
}

/** A container of its own, several calls at a time. */
@app.cls({ ...wide, ...times })
class Wide extends Recorder {
  readonly limits = wide;
}

/** Falls asleep soon. */
@app.cls({ ...serial, ...times, idleTimeoutMs: 4_000 })
class Sleepy extends Recorder {
  readonly limits = serial;
}

/** Lost for good with its worker. */
@app.cls({ ...serial, ...times, tasksPerContainer: 2, onLoss: 'fail' })
class Fragile extends Recorder {
  readonly limits = serial;
}

/** Of each of its containers. */
const pooled: Limits = { concurrentRequests: 2, maxPendingTasks: 10 };
const poolContainers = 3;
const ofPool: Limits = { ...pooled, concurrentRequests: pooled.concurrentRequests * poolContainers };

/** Several containers, which come with its calls and go after them. */
@app.cls({ ...pooled, ...times, maxContainers: poolContainers, idleTimeoutMs: 3_000 })
class Crowd extends Recorder {
  readonly limits = pooled;
  override readonly poolLimit = ofPool.concurrentRequests;
}

/** The same, for whoever must find it unused. */
@app.cls({ ...pooled, ...times, maxContainers: poolContainers, bufferContainers: 1 })
class Calm extends Recorder {
  readonly limits = pooled;
  override readonly poolLimit = ofPool.concurrentRequests;
}

/** Classes of which `bind` is a pool (P1). */
export const poolClasses: ReadonlySet<string> = new Set([Crowd.name, Calm.name]);
/** Classes with `onLoss: 'fail'`. */
export const fragileClasses: ReadonlySet<string> = new Set([Fragile.name]);
/** What `bind` without arguments calls its instance. */
export const poolId = `bind-${hashArgs(encodeArgs([]))}`;

/** By the name of the class; of pools, of all containers together. */
export const limitsOf: Readonly<Record<string, Limits>> = {
  [Serial.name]: serial,
  [Packed.name]: serial,
  [Quick.name]: quick,
  [Wide.name]: wide,
  [Sleepy.name]: serial,
  [Fragile.name]: serial,
  [Crowd.name]: ofPool,
  [Calm.name]: ofPool,
};
