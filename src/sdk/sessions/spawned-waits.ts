import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { SpawnedView } from '../../wire/gen/holdfast/v1/router.js';
import type { RouterSession } from './router-session.js';

/** Of one wait. */
export interface WaitLimits {
  /** Infinite: the caller has no limit. */
  readonly leftMs: number;
  readonly signal: AbortSignal | null;
}

/** On the control stream, which has room for other requests beside them. */
const mostAtOnce = 8_192;
/** Where there are many, each has to leave its place to the next one sooner. */
const many = 4_096;
const longWaitMs = 20_000;
const shortWaitMs = 2_000;
/** A router that does not answer for that much longer does not answer at all. */
const graceMs = 10_000;

/** The waits of one client for spawned calls: many share a message, and those of a program that waits for very many take turns. */
export class SpawnedWaits {
  readonly #router: Pick<RouterSession, 'ask'>;
  readonly #clock: Clock;
  readonly #queue = new Set<() => void>();
  #underway = 0;

  constructor(router: Pick<RouterSession, 'ask'>, clock: Clock) {
    this.#router = router;
    this.#clock = clock;
  }

  /** The call when it has ended, or as it is after a while. @throws what the router answers, Unavailable, DeadlineExceeded, Cancelled */
  async wait(id: string, { leftMs, signal }: WaitLimits): Promise<SpawnedView> {
    const until = this.#clock.monotonic() + leftMs;
    if (this.#underway < mostAtOnce) this.#underway += 1;
    else if (!(await this.#turn({ leftMs, signal }))) throw crowded(id);
    try {
      const mostMs = Math.max(0, until - this.#clock.monotonic());
      const waitMs = Math.ceil(Math.min(mostMs, this.#underway > many ? shortWaitMs : longWaitMs));
      const op = { $case: 'getSpawned', value: { id, waitMs, explain: false } } as const;
      const options = { remainingMs: waitMs + graceMs, ...(signal === null ? {} : { signal }) };
      return await this.#router.ask('spawned', op, options);
    } finally {
      this.#leave();
    }
  }

  /** False: none came as long as somebody waited. Whoever goes and comes again is the last: he could do so for ever. */
  #turn({ leftMs, signal }: WaitLimits): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isGiven: boolean): void => {
        this.#queue.delete(turn);
        timer?.cancel();
        signal?.removeEventListener('abort', leave);
        resolve(isGiven);
      };
      const turn = (): void => end(true);
      const leave = (): void => end(false);
      this.#queue.add(turn);
      const timer = leftMs === Number.POSITIVE_INFINITY ? null : this.#clock.after(leftMs, leave);
      signal?.addEventListener('abort', leave, { once: true });
      if (signal?.aborted) leave();
    });
  }

  #leave(): void {
    const [next] = this.#queue;
    if (next === undefined) {
      this.#underway -= 1;
      return;
    }
    next();
  }
}

function crowded(id: string): HoldfastError {
  const message = `${mostAtOnce} calls are waited for by this client, and none of them ended: it has not looked at call ${id} yet`;
  return new HoldfastError('DeadlineExceeded', message, { outcome: 'unknown', details: { limit: mostAtOnce } });
}
