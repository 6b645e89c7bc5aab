import type { LoadPlan } from '../load/closed-loop.js';
import type { Disturbance } from '../load/disturbance.js';
import type { Destination, JobReply, JobRequest, Jobs } from '../load/jobs.js';
import { type LoadSample, mergeSamples } from '../load/latencies.js';
import type { PayloadPlan } from '../load/payload.js';
import type { Measurement } from '../report/row.js';
import { BenchProcess } from './child.js';
import { cpuByProcess, machineBusySeconds, type Role } from './process-tree.js';

export interface ContenderPlan {
  readonly name: string;
  readonly title: string;
  /** Name of the contender that its figures are shown against; null: nothing does the same work. */
  readonly floor: string | null;
  readonly payload: PayloadPlan['as'];
  /** gRPC promises nothing about the order of calls that are under way together. */
  readonly inFlight: number;
  /** Load generators, which share the callers; one keeps a core busy. */
  readonly clients: number;
}

/** The load generators' jobs that measure. */
type Load = 'load' | 'items' | 'firstCalls' | 'resolves' | 'sandbox' | 'sessions' | 'sampleSessions' | 'volume';
/** Besides what the job itself takes. */
const patienceMs = 60_000;
const patienceMsPerName = 20;
const patienceMsPerStep = 1_000;
const patienceMsPerSession = 200;
const leadInShare = 0.15;
const smallBytes = 1_024;

/** Processes behind a target, by pid; asked before each measurement, since containers come and go. */
export type Parts = () => ReadonlyMap<number, Role>;

/** A target with load generators of its own, each in a process of its own. */
export class Contender implements AsyncDisposable {
  readonly name: string;
  readonly title: string;
  readonly floor: string | null;
  readonly #plan: ContenderPlan;
  readonly #clients: readonly BenchProcess[];
  readonly #parts: Parts;
  readonly #signal: AbortSignal;

  constructor(plan: ContenderPlan, parts: Parts, signal: AbortSignal) {
    this.name = plan.name;
    this.title = plan.title;
    this.floor = plan.floor;
    this.#plan = plan;
    this.#clients = Array.from({ length: plan.clients }, () => new BenchProcess('client-main'));
    this.#parts = parts;
    this.#signal = signal;
  }

  /** With the load generators themselves. */
  get processes(): ReadonlyMap<number, Role> {
    return new Map([...this.#parts(), ...this.#clients.map(({ pid }) => [pid, 'client'] as const)]);
  }

  async open(destination: Destination): Promise<void> {
    // One after the other: instances that are new are made by the first.
    for (const client of this.#clients) await this.#job(client, 'open', destination);
  }

  /**
   * Warms up, with every answer looked at: first many calls at once, then few, since batches of many calls leave the code
   * that runs once a batch cold. One load generator after the other, because each counts what has run.
   */
  async warmUp({ calls, payloadBytes }: { readonly calls: number; readonly payloadBytes: number }): Promise<void> {
    const payload = this.#payload(payloadBytes);
    // Calls that overlap and are larger than what travels at once may overtake each other.
    const inFlight = payloadBytes > smallBytes ? 1 : this.#plan.inFlight;
    for (const client of this.#clients) {
      await this.#job(client, 'check', { callers: 64, calls, inFlight, payload });
      await this.#job(client, 'check', { callers: 2, calls: Math.ceil(calls / 2), inFlight: 1, payload });
    }
  }

  /** After a short while of the same that does not count: whoever was not its turn has cold caches. */
  async load(plan: Omit<LoadPlan, 'payload'> & { readonly payloadBytes: number }): Promise<Measurement> {
    const { payloadBytes, ...rest } = plan;
    const payload = this.#payload(payloadBytes);
    const load: LoadPlan = { ...rest, payload, callers: Math.ceil(plan.callers / this.#clients.length) };
    await this.#everyone('load', { ...load, seconds: plan.seconds * leadInShare });
    return this.measure('load', load);
  }

  /** @param plan of each load generator */
  async measure<K extends Load>(kind: K, plan: Jobs[K]['plan']): Promise<Measurement> {
    const before = { cpu: cpuByProcess(), machine: machineBusySeconds() };
    const result = mergeSamples(await this.#everyone(kind, plan));
    const roles = this.processes;
    const after = cpuByProcess();
    const cpuSeconds: Partial<Record<Role, number>> = {};
    let oursSeconds = 0;
    for (const [pid, seconds] of after) {
      // Those that started meanwhile, too. Of all that the benchmark has started, this contender's have a role here.
      const spent = seconds - (before.cpu.get(pid) ?? 0);
      const role = roles.get(pid);
      if (role !== undefined) cpuSeconds[role] = (cpuSeconds[role] ?? 0) + spent;
      oursSeconds += spent;
    }
    const otherSeconds = machineBusySeconds() - before.machine - oursSeconds;
    return { ...result, cpuSeconds, otherCores: Math.max(0, otherSeconds / result.seconds) };
  }

  /** Those that `sessions` made. */
  async endSessions(plan: Jobs['endSessions']['plan']): Promise<void> {
    for (const client of this.#clients) await this.#job(client, 'endSessions', plan);
  }

  /** Bytes that it took from where its volumes are stored, since the beginning. */
  async fetchedBytes(): Promise<number> {
    let bytes = 0;
    for (const client of this.#clients) bytes += await this.#job(client, 'fetched', null);
    return bytes;
  }

  /** Nothing is mounted any more. */
  async closeVolumes(): Promise<void> {
    for (const client of this.#clients) await this.#job(client, 'closeVolumes', null);
  }

  /** A sandbox beside it does that until it is told otherwise; null: nothing any more. */
  async disturb(what: Disturbance | null): Promise<void> {
    const [client] = this.#clients;
    if (client !== undefined) await this.#job(client, 'disturb', { what });
  }

  /** What `firstCalls` made and shall not stay. */
  async endFirstCalls(): Promise<void> {
    for (const client of this.#clients) await this.#job(client, 'endFirstCalls', null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
  }

  /** Small ones are what most calls carry, text; large ones are what files and images are, bytes. */
  #payload(bytes: number): PayloadPlan {
    return { bytes, as: bytes > smallBytes ? 'bytes' : this.#plan.payload };
  }

  #everyone<K extends Load>(kind: K, plan: Jobs[K]['plan']): Promise<LoadSample[]> {
    return Promise.all(this.#clients.map((client) => this.#job(client, kind, plan)));
  }

  async #job<K extends keyof Jobs>(client: BenchProcess, kind: K, plan: Jobs[K]['plan']): Promise<Jobs[K]['result']> {
    client.send({ kind, plan } as JobRequest);
    const reply = await client.receive<JobReply>({ withinMs: patienceMs + durationMs(plan), signal: this.#signal });
    if ('error' in reply) throw new Error(`${this.title}, ${kind}: ${reply.error}`);
    return reply.result as Jobs[K]['result'];
  }
}

function durationMs(plan: Jobs[keyof Jobs]['plan']): number {
  if (plan === null) return 0;
  if ('withinMs' in plan) return plan.withinMs;
  if ('seconds' in plan) return plan.seconds * 1_000;
  if ('sessions' in plan) return plan.sessions * patienceMsPerSession;
  if ('names' in plan) return plan.names * (plan.pauseMs + patienceMsPerName);
  return 'times' in plan ? plan.times * (plan.pauseMs + patienceMsPerStep) : 0;
}
