import { type LoadSample, timed } from './latencies.js';
import type { IdleSession, SandboxSteps } from './sandbox-steps.js';

export interface IdleSessionsPlan {
  /** How many more. */
  readonly sessions: number;
  readonly callers: number;
}

/** Sessions that are made, left alone, looked at, and ended together. */
export class IdleSessions {
  readonly #sessions: IdleSession[] = [];

  make(steps: SandboxSteps, { sessions, callers }: IdleSessionsPlan): Promise<LoadSample> {
    let left = sessions;
    return timed(async (latencies) => {
      await together(callers, async () => {
        while (left > 0) {
          left -= 1;
          const start = performance.now();
          const session = await steps.open();
          this.#sessions.push(session);
          // Whoever is given one before it runs has no sandbox yet.
          await session.exec();
          latencies.record((performance.now() - start) * 1_000);
        }
      });
    });
  }

  /** A command in every so many of them. @throws where one is not alive */
  sample(every: number): Promise<LoadSample> {
    return timed(async (latencies) => {
      for (const session of this.#sessions.filter((_, index) => index % every === 0)) {
        const start = performance.now();
        await session.exec();
        latencies.record((performance.now() - start) * 1_000);
      }
    });
  }

  async end(callers: number): Promise<void> {
    await together(callers, async () => {
      for (let session = this.#sessions.pop(); session !== undefined; session = this.#sessions.pop())
        await session.end();
    });
  }
}

async function together(callers: number, work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: callers }, work));
}
