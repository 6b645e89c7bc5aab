// Needs a cluster with the app: `npx tsx examples/run.ts sandbox-demo` brings one.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('sandbox-demo');
const session = await app.shell.named('demo-session', { cwd: '/workspace', env: { PYTHONUNBUFFERED: 1 } });

const result = await session.exec(['python3', '-c', 'print("hello from a sandbox")']);
process.stdout.write(result.stdout);

// A command's files are there for the program, and the program's for commands.
await session.writeText('notes/today.txt', 'milk\n', { makeParents: true });
await session.exec('echo bread >> notes/today.txt', { shell: true, check: true });
const lines = (await session.readText('notes/today.txt')).trim().split('\n');
console.log(`${await session.pwd()}/notes/today.txt has: ${lines.join(', ')}`);

// What a command prints, while it runs.
for await (const event of session.execStream('for i in 1 2 3; do echo $i; done; exit 4', { shell: true })) {
  if (event.type === 'stdout') process.stdout.write(event.data);
  if (event.type === 'exit') console.log(`exit code ${event.exitCode}`);
}

const { closed } = await session.close();
console.log(`closed: ${closed}`);
