// Leaves jobs in a queue and goes; another program fetches what has become of them, by their ids.
// Needs a cluster with the app: `npx tsx examples/run.ts job-queue` brings one.
import { App, Client, FunctionCall } from 'holdfast';

const pages = [1, 2, 3, 4, 5, 6];

/** The one who has work to be done: it is gone when the first page is rendered. */
async function leave(): Promise<string[]> {
  await using client = new Client();
  const app = await App.lookup<typeof import('./app.js')>('job-queue', { client });
  const queue = await app.Renderer.named('magazine');
  const jobs = await Promise.all(pages.map((page) => queue.render.spawn(page)));
  const scan = await queue.scan.spawn();
  return [...jobs, scan].map(({ id }) => id);
}

const ids = await leave();
console.log(`${ids.length} jobs left in the queue`);

for (const id of ids) {
  const job = await FunctionCall.fromId<string>(id);
  const result = await job.get().catch((error: Error) => error.message);
  const { status, attempt, losses } = await job.explain();
  const tries = attempt > 1 ? `, at attempt ${attempt}` : '';
  console.log(`${status}: ${result}${tries}${losses > 0 ? ', after its process had died' : ''}`);
}
