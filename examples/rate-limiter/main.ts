// Needs a cluster with the app: `npx tsx examples/run.ts rate-limiter` brings one.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('rate-limiter');
const users = Array.from({ length: 100 }, (_, index) => `user-${index + 1}`);
const minuteMs = 60_000;

/** How many of ten requests of one user pass; all users come at once. */
async function allowed(user: string): Promise<number> {
  const limiter = await app.Limiter.named(user, 3, minuteMs);
  const answers = await Promise.all(Array.from({ length: 10 }, () => limiter.take()));
  return answers.filter((answer) => answer.allowed).length;
}

const counts = await Promise.all(users.map(allowed));
console.log(`${users.length} users sent 10 requests each`);
console.log(`allowed per user: ${[...new Set(counts)].join(', ')}`);

const { retryAfterMs } = await (await app.Limiter.named('user-1')).take();
console.log(
  `user-1 may come back in ${retryAfterMs > 0 && retryAfterMs <= minuteMs / 3 ? 'at most 20' : retryAfterMs} s`,
);
