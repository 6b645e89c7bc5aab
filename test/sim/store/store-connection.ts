import { storeAway, storeError, storeTimeout } from '../../../src/adapters/redis/errors.js';
import type { Timer } from '../../../src/common/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import type { AlarmStore } from '../../../src/common/ports/alarm-store.js';
import type { CallStore } from '../../../src/common/ports/call-store.js';
import type { LiveStore } from '../../../src/common/ports/live-store.js';
import type { StateStore } from '../../../src/common/ports/state-store.js';
import type { AppStore, KeyStore, LeaseStore, PinStore, SecretStore, Store } from '../../../src/common/ports/store.js';
import type { VolumeHolds, VolumeStore } from '../../../src/common/ports/volume-store.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { StoreServer } from './store-server.js';

const redialWithinMs = 1_000;
/** Bytes that a cut link has swallowed may come later, also after their sender gave up. */
const resendWithinMs = 3_000;
/** Of requests that are lost: some arrive after all, when their connection is long gone. */
const lateRequests = 0.5;
const latestMs = 30_000;

interface Operation {
  readonly what: string;
  readonly timer: Timer;
  reject(error: HoldfastError): void;
}

/** One process's way to the store, with the errors of the Redis adapter. */
export class StoreConnection implements Store {
  readonly pins: PinStore;
  readonly leases: LeaseStore;
  readonly state: StateStore;
  readonly alarms: AlarmStore;
  readonly calls: CallStore;
  readonly apps: AppStore;
  readonly keys: KeyStore;
  readonly secrets: SecretStore;
  readonly volumes: VolumeStore;
  readonly holds: VolumeHolds;
  readonly live: LiveStore;
  readonly #server: StoreServer;
  readonly #process: SimProcess;
  readonly #opTimeoutMs: number;
  readonly #underway = new Set<Operation>();
  readonly #lastArrival = { up: 0, down: 0 };
  #phase: 'ready' | 'away' | 'closed' = 'ready';

  constructor(server: StoreServer, process: SimProcess, opTimeoutMs: number) {
    this.#opTimeoutMs = opTimeoutMs;
    this.#server = server;
    this.#process = process;
    const { pins, leases, state, alarms, calls, apps, keys, secrets, volumes, holds, live } = server.store;
    this.pins = this.#remote('pins', pins);
    this.leases = this.#remote('leases', leases);
    this.state = this.#remote('state', state);
    this.alarms = this.#remote('alarms', alarms);
    this.calls = this.#remote('calls', calls);
    this.apps = this.#remote('apps', apps);
    this.keys = this.#remote('keys', keys);
    this.secrets = this.#remote('secrets', secrets);
    this.volumes = this.#remote('volumes', volumes);
    this.holds = this.#remote('holds', holds);
    this.live = this.#remote('live', live);
  }

  async ping(): Promise<void> {
    await this.#run('ping', () => this.#server.store.ping());
  }

  servers(): Promise<readonly string[]> {
    return this.#run('servers', () => this.#server.store.servers());
  }

  async close(): Promise<void> {
    this.#phase = 'closed';
  }

  #remote<Part extends object>(name: string, part: Part): Part {
    const methods = Object.entries(part) as [string, (...args: unknown[]) => Promise<unknown>][];
    const remote = methods.map(([method, run]) => [
      method,
      (...args: unknown[]) => this.#run(`${name}.${method}`, () => run(...args)),
    ]);
    return Object.fromEntries(remote) as Part;
  }

  #run<T>(what: string, run: () => Promise<T>): Promise<T> {
    if (this.#phase === 'closed')
      return Promise.reject(new HoldfastError('Unavailable', `${what}: the store is closed`, { retryable: false }));
    if (this.#phase === 'away') return Promise.reject(storeAway(this.#shown(what)));
    return new Promise<T>((resolve, reject) => {
      const timer = this.#process.clock.after(this.#opTimeoutMs, () => {
        settle(() => reject(storeTimeout(this.#shown(what), this.#opTimeoutMs)));
        this.#broke();
      });
      const settle = (how: () => void): void => {
        if (!this.#underway.delete(operation)) return;
        timer.cancel();
        how();
      };
      const operation: Operation = { what, timer, reject: (error) => settle(() => reject(error)) };
      this.#underway.add(operation);
      const { servers } = this.#server;
      this.#up(() => {
        // What was on its way to one that is gone reaches no other.
        if (this.#server.servers !== servers) return this.#down(() => this.#broke());
        if (this.#server.isDown) return this.#down(() => this.#broke());
        run().then(
          (value) => this.#reply(() => settle(() => resolve(value))),
          (error: unknown) => this.#reply(() => settle(() => reject(error))),
        );
      });
    });
  }

  #reply(here: () => void): void {
    const { trouble, process } = this.#server;
    if (process.random.chance(trouble.lostReply)) return this.#lostOnTheWay();
    this.#down(here);
  }

  /** The connection breaks under it. */
  #lostOnTheWay(): void {
    this.#process.in(this.#process.random.between(1, 500), () => this.#broke());
  }

  #up(atServer: () => void): void {
    const { network, process, trouble } = this.#server;
    const from = this.#process;
    if (from.random.chance(trouble.lostRequest)) {
      // Or so it seems.
      if (from.random.chance(lateRequests)) process.in(from.random.between(500, latestMs), atServer);
      return this.#lostOnTheWay();
    }
    const slowMs = trouble.slowness > 0 ? from.random.next() * trouble.slowness : 0;
    const arrivesInMs = this.#inMs('up', network.latencyMs(from.host, process.host) + slowMs);
    if (!network.isCut(from.host, process.host)) {
      process.in(arrivesInMs, atServer);
    } else if (from.random.chance(0.5)) {
      this.#whenHealed(atServer);
    }
  }

  /** Looks again and again, as TCP does: at most for a minute. */
  #whenHealed(atServer: () => void): void {
    const { network, process } = this.#server;
    const { host, random } = this.#process;
    const delayMs = random.next() * resendWithinMs;
    const until = network.timeline.now + 60_000;
    const look = (): void => {
      if (!network.isCut(host, process.host)) return atServer();
      if (network.timeline.now < until) process.in(resendWithinMs * random.next() + 100, look);
    };
    process.in(delayMs, look);
  }

  #down(here: () => void): void {
    const { network, process } = this.#server;
    if (network.isCut(process.host, this.#process.host)) return;
    this.#process.in(this.#inMs('down', network.latencyMs(process.host, this.#process.host)), () => {
      if (this.#phase === 'ready') here();
    });
  }

  #inMs(direction: 'up' | 'down', latencyMs: number): number {
    const { now } = this.#server.network.timeline;
    this.#lastArrival[direction] = Math.max(now + latencyMs, this.#lastArrival[direction]);
    return this.#lastArrival[direction] - now;
  }

  /** Nothing that is under way is sent again (S4: that is for whoever knows its opId). */
  #broke(): void {
    if (this.#phase !== 'ready') return;
    this.#phase = 'away';
    this.#server.network.timeline.note(this.#process, 'loses the store');
    for (const { what, reject } of [...this.#underway])
      reject(storeError(new Error('Connection is closed.'), this.#shown(what)));
    this.#redial();
  }

  #redial(): void {
    this.#process.in(25 + this.#process.random.next() * redialWithinMs, () => {
      if (this.#phase !== 'away') return;
      if (!this.#isReachable()) return this.#redial();
      this.#phase = 'ready';
      this.#server.network.timeline.note(this.#process, 'has the store again');
    });
  }

  #isReachable(): boolean {
    const { network, process, isDown } = this.#server;
    const { host } = this.#process;
    const isCut = network.isCut(host, process.host) || network.isCut(process.host, host);
    return !isDown && !process.isStopped && !isCut;
  }

  #shown(what: string): { readonly what: string; readonly server: string } {
    return { what, server: 'sim' };
  }
}
