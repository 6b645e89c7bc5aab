// `npm run demo`: what Holdfast does, on one machine, with no server installed.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { App, isHoldfastError, type Sandbox } from 'holdfast';
import { startCluster } from 'holdfast/testing';

const appFile = new URL('./demo/app.ts', import.meta.url);
const otherProcess = fileURLToPath(new URL('./demo/other-process.ts', import.meta.url));

/** Does something, then prints what came of it and how long it took. */
async function step<T>(does: () => Promise<T>, says: (result: T) => string): Promise<T> {
  const startedAt = performance.now();
  const result = await does();
  tell(says(result), performance.now() - startedAt);
  return result;
}

function tell(what: string, ms: number): void {
  console.log(`  ${what.padEnd(66)}${ms.toFixed(ms < 10 ? 1 : 0).padStart(7)} ms`);
}

async function inAnotherProcess(handleJson: string, env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', otherProcess, handleJson], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (await text(child.stdout)).trim();
}

async function collect(values: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** A session from its beginning to its end; where this host has no sandboxes, that is said in one line. */
async function showSandbox(shell: Sandbox): Promise<void> {
  const startedAt = performance.now();
  const session = await shell.create({ cwd: '/job' }).catch((e) => {
    if (isHoldfastError(e, 'SandboxUnavailable')) return null;
    throw e;
  });
  if (session === null) {
    console.log('  skipped: a sandbox needs Linux, root and bubblewrap (`npm run setup` as root)');
    return;
  }
  tell('a sandbox session has its place on the worker', performance.now() - startedAt);
  await step(
    () => session.writeText('numbers.txt', '3\n1\n2\n'),
    (path) => `its walls and disk are made, a file is written: ${path}`,
  );
  const command = 'sort numbers.txt > sorted.txt';
  await step(
    () => session.exec(command, { shell: true }),
    ({ exitCode }) => `'${command}' ran in it -> exit code ${exitCode}`,
  );
  await step(
    () => session.readText('sorted.txt'),
    (text) => `what it wrote is read back: ${text.trim().replaceAll('\n', ', ')}`,
  );
  await step(
    () => session.close(),
    () => 'the session is closed: its processes and files are gone',
  );
}

/** Codes of the calls that were refused. */
async function refusals(calls: readonly Promise<unknown>[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' && isHoldfastError(outcome.reason) ? outcome.reason.code : [],
  );
}

console.log('Holdfast: classes whose instances are found by name, and sandboxes.\n');
const cluster = await step(
  () => startCluster({ mode: 'embedded' }),
  () => 'a router and a worker run in this process, on LMDB',
);
try {
  await step(
    () => cluster.deploy(appFile),
    ({ app, version }) => `examples/demo/app.ts is deployed as '${app}', version ${version}`,
  );
  const app = await App.lookup<typeof import('./demo/app.js')>('demo', { client: cluster.client });
  const ada = await step(
    () => app.Notebook.named('ada', 'Ada'),
    () => `instance 'ada' of class Notebook has its place on the worker`,
  );
  await step(
    () => ada.write('first'),
    (count) => `its container starts, @enter runs: ada.write('first') -> ${count} notes`,
  );
  await step(
    () => ada.write('second'),
    (count) => `ada.write('second') -> ${count}: the state stays in memory`,
  );
  const grace = await app.Notebook.named('grace', 'Grace');
  await step(
    () => grace.write('first'),
    (count) => `'grace' lives beside it, with a state of its own -> ${count} notes`,
  );
  await step(
    () => Promise.all([ada.think(300), grace.think(300)]),
    () => 'both worked for 300 ms, side by side',
  );
  const env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
  await step(
    () => inAnotherProcess(ada.handleJson, env),
    (count) => `another process goes on with ada by its handle -> ${count} notes`,
  );
  await step(
    () => collect(ada.read()),
    (notes) => `a generator streamed: ${notes.slice(1).join(', ')}`,
  );
  await step(
    () => refusals(Array.from({ length: 4 }, () => ada.think(100))),
    (codes) => `4 calls at once: 1 ran, 2 waited, 1 refused: ${codes.join(', ')}`,
  );
  await step(
    () => ada.close(),
    ({ exitHook }) => `ada was closed, its @exit hook ${exitHook}`,
  );
  await step(
    () => refusals([ada.write('too late')]),
    ([code]) => `a call through the old handle -> ${code}`,
  );
  await showSandbox(app.shell);
} finally {
  await step(
    () => cluster.close(),
    () => 'the cluster is gone: no process, no file is left',
  );
}
