import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { App, type ClassInstance, Client, Cls, type SandboxSession } from 'holdfast';
import type { Echo, Gate } from '../app.js';
import { type Disturbance, disturbanceLine } from '../load/disturbance.js';
import { firstPayload } from '../load/first-calls.js';
import type { Destination } from '../load/jobs.js';
import type { SandboxSteps } from '../load/sandbox-steps.js';
import type { Target } from '../load/target.js';
import { checkLimits } from './check-limits.js';
import { coldKinds, coldName } from './cold-sandboxes.js';
import { connectFunction, functionNames } from './function-target.js';

/** After which what disturbs has all its processes, and what was spawned has begun. */
const settleMs = 300;

type ProductDestination = Destination & { readonly kind: 'holdfast' };
type EchoClass = Cls<typeof Echo>;

/** A program of the user's, with the SDK. */
export async function connectProduct(destination: ProductDestination): Promise<Target> {
  if (functionNames.has(destination.className)) return await connectFunction(destination);
  const { endpoint, token, className, prefix } = destination;
  const client = new Client({ endpoint, token });
  const classes = new Map<string, EchoClass>();
  const classNamed = async (name: string): Promise<EchoClass> => {
    const known = classes.get(name) ?? (await Cls.fromName<typeof Echo>('bench', name, { client }));
    classes.set(name, known);
    return known;
  };
  const cls = await classNamed(className);
  const names = Array.from({ length: destination.instances }, (_, index) => `${prefix}-${index}`);
  const instances = await Promise.all(names.map((name) => cls.named(name)));
  const [first] = instances;
  if (first === undefined) throw new Error('a product without instances has nothing to call');
  const isSpawned = className.startsWith('Spawned');
  return {
    call: async (value, turn) => {
      const { echo } = instances[turn % instances.length] ?? first;
      if (!isSpawned) return await echo(value);
      // Answered when it is recorded: what it returns is nobody's.
      await echo.spawn(value);
      return value;
    },
    executed: async () => {
      let ran = await sumOfCalls(instances);
      // What was spawned is acknowledged before it has run: until no more do.
      for (let before = -1; isSpawned && ran !== before; ran = await sumOfCalls(instances)) {
        before = ran;
        await delay(settleMs);
      }
      return ran;
    },
    items: (count) => first.count(count),
    firstCall: async (name, id) => {
      const cold = await (await classNamed(name)).named(id);
      await cold.echo(firstPayload);
      return async () => void (await cold.close());
    },
    resolve: async (name, id) => void (await (await classNamed(name)).named(id)),
    sandbox: sandboxesOf(client),
    disturb: (what) => disturb(client, what),
    checkLimits: async () => {
      const gates = await Cls.fromName<typeof Gate>('bench', 'Gate', { client });
      await checkLimits(await gates.named(`gate-${randomUUID()}`));
    },
    close: () => client.close(),
  };
}

async function sumOfCalls(instances: readonly ClassInstance<typeof Echo>[]): Promise<number> {
  const counts = await Promise.all(instances.map((instance) => instance.executed()));
  return counts.reduce((sum, count) => sum + count, 0);
}

type BenchApp = Awaited<ReturnType<typeof App.lookup<typeof import('../app.js')>>>;

async function disturb(client: Client, what: Disturbance): Promise<() => Promise<void>> {
  const app = await App.lookup<typeof import('../app.js')>('bench', { client });
  const session = await app.shell.create();
  await session.spawn(disturbanceLine(what), { shell: true });
  await delay(settleMs);
  return async () => void (await session.close({ force: true }));
}

function sandboxesOf(client: Client): SandboxSteps {
  let uploads = 0;
  const stored = (): string => `/tmp/stored-${uploads}`;
  let known: Promise<BenchApp> | null = null;
  let coldOnes = 0;
  // As a program has them: looked up once.
  const app = (): Promise<BenchApp> => {
    known ??= App.lookup<typeof import('../app.js')>('bench', { client });
    return known;
  };
  const open = async (name: string): Promise<SandboxSession> => {
    const { shell, sandbox } = await app();
    if (name !== 'cold') return await shell.create();
    coldOnes += 1;
    return await sandbox(coldName(coldOnes % coldKinds)).create();
  };
  const create = async (name: string): Promise<SandboxSession> => {
    const session = await open(name);
    await session.exec(['/bin/true'], { check: true });
    return session;
  };
  let living: Promise<SandboxSession> | null = null;
  const one = (): Promise<SandboxSession> => {
    living ??= create('shell');
    return living;
  };
  return {
    create: async (name) => {
      const session = await create(name);
      return async () => void (await session.close());
    },
    open: async () => {
      const session = await open('shell');
      return {
        exec: async () => void (await session.exec(['/bin/true'], { check: true })),
        end: async () => void (await session.close({ force: true })),
      };
    },
    exec: async () => void (await (await one()).exec(['/bin/true'])),
    upload: async (path) => {
      const session = await one();
      const before = stored();
      uploads += 1;
      await session.uploadFile(path, stored());
      return () => session.remove(before, { missingOk: true });
    },
    download: async (path) => void (await (await one()).downloadFile(stored(), path)),
  };
}
