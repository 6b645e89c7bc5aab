// Runs code that nobody has read, for one user after another: each has files of their own, which are kept between runs.
// Needs a cluster with the app: `npx tsx examples/run.ts code-interpreter` brings one.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('code-interpreter');

/** Runs a snippet in the session of a user, which is made at its first; what it printed, and how it went wrong if it did. */
async function run(user: string, code: string): Promise<string> {
  const session = await app.python.named(user, { cwd: '/job' });
  const { stdout, stderr, timedOut } = await session.exec(['python3', '-'], { stdin: code, timeoutMs: 10_000 });
  const problem = timedOut ? 'stopped after 10 s' : (stderr.trimEnd().split('\n').at(-1) ?? '');
  return [stdout.trimEnd(), problem].filter((text) => text !== '').join('\n');
}

const snippets: readonly (readonly [user: string, code: string])[] = [
  ['ada', `open('prices.csv', 'w').write('milk,2\\nbread,3\\n')`],
  ['ada', `print(sum(int(line.split(',')[1]) for line in open('prices.csv')))`],
  ['grace', `open('prices.csv')`],
  ['grace', `import socket; socket.create_connection(('192.0.2.1', 80))`],
];
for (const [user, code] of snippets) console.log(`${user} > ${code}\n${(await run(user, code)) || 'done'}`);

for await (const { id } of app.python.list()) {
  const session = await app.python.named(id);
  console.log(`${id} has the files: ${(await session.listdir()).join(', ') || 'none'}`);
  await session.close();
}
