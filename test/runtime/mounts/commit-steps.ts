import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRedisStore } from '../../../src/adapters/redis/redis-store.js';
import { openS3ObjectStore } from '../../../src/adapters/s3/s3-object-store.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { VolumeRecord } from '../../../src/common/ports/volume-store.js';
import { RedisProxy } from '../../redis-proxy.js';
import { account, VolumeWorld } from '../../router/volumes/volume-world.js';
import { type S3Fault, S3FaultProxy } from '../../s3/fault-proxy.js';
import { startRedis, startS3, type TestServer } from '../../servers.js';
import { launcher } from '../isolation/harness.js';
import { MountWorker, type WorkerMount } from './mount-worker.js';
import { mountedBelow } from './mount-world.js';

const entry = fileURLToPath(new URL('../../../dist/cli/mount-main.js', import.meta.url));
const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/test+key' };
/** With which a connection begins: no steps of a commit. */
const greetings = new Set(['auth', 'client', 'command', 'hello', 'info', 'ping', 'quit', 'select']);
/** Requests that meet an object store that is away: fewer than a client of it tries, so that some commits outlive it. */
const awayFor = 3;

/** Where a step goes: a command to Redis, a request to the object store. */
export type StepTo = 'redis' | 's3';
/** What becomes of a step: `before`: it never arrives; `after`: its answer is lost. */
export type Cut = 'before' | 'after' | null;
/** What happens when a commit comes to a step. */
export type Strike = (to: StepTo) => Cut | Promise<Cut>;

/** Volumes in a Redis that keeps what it has answered, and in an S3 server; a worker reaches both through proxies that count. */
export class CommitSteps implements AsyncDisposable {
  readonly volumes: VolumeWorld;
  /** What the last commit did, in its order. */
  seen: string[] = [];
  readonly #servers: { readonly redis: TestServer; readonly s3: TestServer };
  readonly #redis: RedisProxy;
  readonly #s3: S3FaultProxy;
  readonly #folder: string;
  readonly #options: object;
  #worker: MountWorker;
  #armed: { readonly at: number; readonly strike: Strike } | null = null;
  #awayLeft = 0;
  #coming: Promise<void> = Promise.resolve();
  #mounts = 0;

  static async start(): Promise<CommitSteps> {
    const [redis, s3] = await Promise.all([
      startRedis({ arguments: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
      startS3(),
    ]);
    const proxies = { redis: await RedisProxy.start(redis.port), s3: await S3FaultProxy.start(s3.url) };
    const clock = systemClock;
    const volumes = await VolumeWorld.start({
      store: await createRedisStore({ url: redis.url, clock }),
      objects: await openS3ObjectStore({ url: `s3://${s3.bucket}?endpoint=${s3.url}`, clock, credentials }),
    });
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-mounts-'));
    const stores = {
      store: { kind: 'redis', url: proxies.redis.url },
      objects: `s3://${s3.bucket}?endpoint=${proxies.s3.endpoint}`,
    };
    return new CommitSteps({ volumes, servers: { redis, s3 }, proxies, folder, stores });
  }

  private constructor(parts: {
    readonly volumes: VolumeWorld;
    readonly servers: { readonly redis: TestServer; readonly s3: TestServer };
    readonly proxies: { readonly redis: RedisProxy; readonly s3: S3FaultProxy };
    readonly folder: string;
    readonly stores: object;
  }) {
    this.volumes = parts.volumes;
    this.#servers = parts.servers;
    this.#redis = parts.proxies.redis;
    this.#s3 = parts.proxies.s3;
    this.#folder = parts.folder;
    const { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } = credentials;
    this.#options = {
      ...{ entry, bootId: 'test', folder: parts.folder, launcher, cacheBytes: 1e9, stores: parts.stores },
      env: { PATH: process.env['PATH'] ?? '', AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
    };
    this.#worker = new MountWorker(this.#options);
    this.#redis.onCommand = (name) => (greetings.has(name) ? null : this.#step('redis', name));
    this.#redis.onAnswered = () => this.killRedis();
    this.#s3.fault = ({ method }) => this.#request(method);
  }

  async mount(volume: VolumeRecord): Promise<WorkerMount> {
    this.#mounts += 1;
    return await this.#worker.mount({
      ...{ name: `m${this.#mounts}`, account, volume: volume.name, uid: 0, whenMissing: null },
      ...{ isReadOnly: false, isPrivate: false, commitsByItself: false, owner: 'o', maxLocalBytes: 1e10 },
    });
  }

  /** Whether it came to that step, counted from 1; what was struck is there again then. */
  async struck(at: number, strike: Strike, work: () => Promise<void>): Promise<boolean> {
    this.seen = [];
    this.#armed = { at, strike };
    await work();
    this.#armed = null;
    this.#awayLeft = 0;
    await this.#coming;
    return this.seen.length >= at;
  }

  /** It comes back at once, with all that it had answered. */
  killRedis(): void {
    this.#servers.redis.signal('SIGKILL');
    this.#coming = this.#servers.redis.start();
  }

  cutOffObjects(): void {
    this.#awayLeft = awayFor;
  }

  /** Its process of mounts goes on, and ends when it has noticed; then there is another worker. */
  async killWorker(): Promise<void> {
    await this.#worker.kill();
    this.#coming = this.#unmounted();
    this.#worker = new MountWorker(this.#options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.kill();
    await this.#unmounted();
    await this.volumes[Symbol.asyncDispose]();
    await Promise.all([this.#redis, this.#s3].map((proxy) => proxy[Symbol.asyncDispose]()));
    await Promise.all(Object.values(this.#servers).map((server) => server[Symbol.asyncDispose]()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Looked for now and then: what it waits for needs the processor, too. */
  async #unmounted(): Promise<void> {
    while (mountedBelow(this.#folder).length > 0) await systemClock.sleep(20);
  }

  async #request(method: string): Promise<S3Fault | null> {
    const cut = await this.#step('s3', method);
    if (cut === 'after') return 'late-drop';
    if (cut === null && this.#awayLeft === 0) return null;
    if (cut === null) this.#awayLeft -= 1;
    return 'drop';
  }

  #step(to: StepTo, name: string): Cut | Promise<Cut> {
    if (this.#armed === null) return null;
    this.seen.push(`${to} ${name}`);
    const { at, strike } = this.#armed;
    return this.seen.length === at ? strike(to) : null;
  }
}
