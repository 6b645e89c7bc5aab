import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { removeFolder } from '../../runtime/process/remove-folder.js';
import { openStore } from '../open-store.js';
import { makeMasterKeyFile } from '../parts/secrets-kms.js';
import { createToken } from '../parts/tokens.js';
import { type Child, startChild } from './child.js';
import { type ClusterBackend, testAccount } from './cluster-backend.js';
import type { ClusterPlan, WorkerSetting } from './cluster-options.js';
import { type ClusterPart, realPart } from './cluster-process.js';
import { awaitEnd, descendantsOf, type ProcessMark } from './process-tree.js';
import { Reaper } from './reaper.js';
import { type Server, startNatsServer, startRedisServer } from './servers.js';

/** The same from src and from dist. */
const program = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const listen = '127.0.0.1:0';
/** The watchdog of a killed worker needs a moment to see its containers dead. */
const leftoversWithinMs = 5_000;

/** nats-server, redis-server, and every part a process of its own. @throws Unavailable, Cancelled */
export async function openRealBackend(plan: ClusterPlan): Promise<ClusterBackend> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-real-'));
  const backend = new RealBackend(folder, plan);
  try {
    await backend.startServers();
    return backend;
  } catch (e) {
    await backend.close();
    throw e;
  }
}

class RealBackend implements ClusterBackend {
  readonly #folder: string;
  readonly #plan: ClusterPlan;
  readonly #reaper: Reaper;
  readonly #leftovers: ProcessMark[] = [];
  #nats: Server | null = null;
  #redis: Server | null = null;

  constructor(folder: string, plan: ClusterPlan) {
    this.#folder = folder;
    this.#plan = plan;
    this.#reaper = new Reaper(folder);
  }

  get natsUrl(): string {
    return this.#nats?.url ?? '';
  }

  get redisUrl(): string {
    return this.#redis?.url ?? '';
  }

  async startServers(): Promise<void> {
    const place = (name: string) => ({
      folder: join(this.#folder, name),
      reaper: this.#reaper,
      signal: this.#plan.signal,
    });
    this.#nats = await startNatsServer(place('nats'));
    this.#redis = await startRedisServer(place('redis'));
  }

  async createToken(): Promise<string> {
    const store = await openStore({ kind: 'redis', url: this.redisUrl }, systemClock);
    try {
      return (await createToken(store, { account: testAccount, role: 'deploy', label: 'testing' })).token;
    } finally {
      await store.close();
    }
  }

  async startRouter(id: string): Promise<ClusterPart> {
    return this.#start('router', id, ['--master-key-file', await makeMasterKeyFile(this.#folder)]);
  }

  async startWorker({
    id,
    offer = {},
    maxContainers,
    sandboxIsolation = 'bubblewrap',
  }: WorkerSetting & { readonly id: string }): Promise<ClusterPart> {
    const { env, isolation } = this.#plan;
    return this.#start('worker', id, [
      ...[
        '--id',
        id,
        '--isolation',
        isolation,
        '--sandbox-isolation',
        sandboxIsolation,
        '--data',
        join(this.#folder, id),
      ],
      ...Object.entries(offer).flatMap(([name, value]) => ['--label', label(id, name, value)]),
      ...(maxContainers === undefined ? [] : ['--max-containers', String(maxContainers)]),
      ...(maxContainers === undefined ? [] : ['--max-sandboxes', String(maxContainers)]),
      ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ]);
  }

  async close(): Promise<void> {
    await awaitEnd(this.#leftovers, leftoversWithinMs);
    for (const server of [this.#redis, this.#nats]) await server?.child.stop(leftoversWithinMs);
    await removeFolder(this.#folder);
    await this.#reaper.dismiss();
  }

  async #start(command: 'router' | 'worker', id: string, args: readonly string[]): Promise<ClusterPart> {
    const { child, ready: address } = await startChild({
      name: `${command} '${id}'`,
      kind: 'part',
      program: process.execPath,
      args: [
        program,
        command,
        ...['--nats', this.natsUrl, '--redis', this.redisUrl, '--object-store', join(this.#folder, 'objects')],
        ...['--account', testAccount, '--listen', listen],
        ...args,
      ],
      env: childEnvironment(),
      readyFrom: (line) => addressFrom(line, `${command}.ready`),
      reaper: this.#reaper,
      signal: this.#plan.signal,
    });
    return realPart(id, address, this.#noting(child));
  }

  /** Notes what the process has started before its end orphans it: `close` waits for that too. */
  #noting(child: Child): Child {
    const note = (): void => void this.#leftovers.push(...descendantsOf(child.pid));
    return {
      ...child,
      kill: (signal) => {
        note();
        child.kill(signal);
      },
      stop: (withinMs) => {
        note();
        return child.stop(withinMs);
      },
    };
  }
}

/** @throws InvalidArgument for what a command line cannot say */
function label(worker: string, name: string, value: unknown): string {
  if (['string', 'number', 'boolean'].includes(typeof value)) return `${name}=${value}`;
  throw new HoldfastError(
    'InvalidArgument',
    `worker '${worker}': '${name}' of its offer must be a string, number or boolean in mode 'real', got ${JSON.stringify(value)}`,
  );
}

/** Of this program, without what would configure the parts behind the cluster's back or slow their containers. */
function childEnvironment(): NodeJS.ProcessEnv {
  const refused = /^(HOLDFAST_|NODE_OPTIONS$|NODE_EXTRA_CA_CERTS$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !refused.test(name)));
}

/** Null for any other line, whatever it is. */
function addressFrom(line: string, event: string): string | null {
  if (!line.includes(`"${event}"`)) return null;
  try {
    const fields: unknown = JSON.parse(line);
    if (typeof fields !== 'object' || fields === null || !('address' in fields)) return null;
    return typeof fields.address === 'string' ? fields.address : null;
  } catch {
    return null; // a line that only mentions the event
  }
}
