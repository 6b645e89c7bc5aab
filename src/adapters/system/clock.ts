import { randomBytes } from 'node:crypto';
import type { Clock, Monotonic, Random, Timer } from '../../common/clock.js';

/** Node turns a longer delay into 1 ms. */
const longestDelayMs = 2 ** 31 - 1;

/** The real time of this host. The only place, with `systemRandom`, where time and chance enter the program. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic,
  sleep,
  after: (ms, task) => armed(ms, task, (timeout) => timeout.unref()),
};

export const systemRandom: Random = {
  next: () => Math.random(),
  bytes,
};

/** Asking the system costs more than whatever the few bytes of an id are for. */
const poolBytes = 4_096;
let pool = Buffer.alloc(0);

function bytes(count: number): Uint8Array {
  if (count > poolBytes) return randomBytes(count);
  if (pool.length < count) pool = randomBytes(poolBytes);
  const taken = Uint8Array.from(pool.subarray(0, count));
  pool = pool.subarray(count);
  return taken;
}

/** CLOCK_MONOTONIC; `performance.now()` would count from the start of this process, which no other process can compare. */
function monotonic(): Monotonic {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = armed(
      ms,
      () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      },
      () => undefined,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function armed(ms: number, task: () => void, onArmed: (timeout: NodeJS.Timeout) => void): Timer {
  let leftMs = ms;
  let timeout: NodeJS.Timeout;
  const arm = (): void => {
    const delayMs = Math.min(leftMs, longestDelayMs);
    leftMs -= delayMs;
    timeout = setTimeout(() => (leftMs > 0 ? arm() : task()), delayMs);
    onArmed(timeout);
  };
  arm();
  return { cancel: () => clearTimeout(timeout) };
}
