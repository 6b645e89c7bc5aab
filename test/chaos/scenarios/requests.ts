import { setTimeout as delay } from 'node:timers/promises';
import { churn } from '../churn.js';
import type { Scenario } from '../scenario.js';
import { links, type Moment } from '../tampers.js';

const timesEach = 6;
const pauseMs = 250;
/** Somebody says something on every link: heartbeats, renewals, and what clients that come and go ask for. */
const saysSomethingWithinMs = 20_000;

function lost(moment: Moment, what: string): Scenario {
  return {
    name: `requests-lost-${moment}`,
    what: `on every link between clients, routers, workers, Redis and NATS ${timesEach} times: ${what}; its connection breaks`,
    setup: { tampers: true },
    run: async (world) => {
      const { tampers } = world.site;
      if (tampers === null) throw new Error('the connections of this world cannot be broken');
      const churning = new AbortController();
      const churned = churn(world, churning.signal);
      churned.catch(() => churning.abort()); // awaited below
      try {
        for (const link of links)
          await world.fault(async () => {
            for (let i = 0; i < timesEach; i++) {
              if (!(await tampers.lose(link, moment, saysSomethingWithinMs)))
                throw new Error(`nobody said anything from ${link} for ${saysSomethingWithinMs} ms`);
              await delay(pauseMs);
            }
          });
        await world.calm();
      } finally {
        churning.abort();
        // Its visitors leave before their world ends.
        await Promise.allSettled([churned]);
      }
      return `${links.length * timesEach} lost; ${await churned} instances came and went`;
    },
  };
}

export const lostBefore = lost('before', 'a request is lost before it arrives');
export const lostDuring = lost('during', 'half of a request arrives');
export const lostAfter = lost('after', 'a request is carried out and its answer is lost');
