import type { LoadPlan } from '../load/closed-loop.js';
import type { Destination, JobReply, JobRequest, Jobs } from '../load/jobs.js';
import type { LoadResult } from '../load/latencies.js';
import type { PayloadPlan } from '../load/payload.js';
import type { Measurement } from '../report/row.js';
import { BenchProcess } from './child.js';
import { cpuSecondsOf, machineBusySeconds, type Role } from './process-tree.js';

export interface ContenderPlan {
  readonly name: string;
  readonly title: string;
  readonly payload: PayloadPlan['as'];
  /** gRPC promises nothing about the order of calls that are under way together. */
  readonly inFlight: number;
}

/** The load generators' jobs that measure. */
type Load = 'load' | 'items' | 'coldNames' | 'firstCalls';
/** Besides what the job itself takes. */
const patienceMs = 60_000;
const leadInShare = 0.15;
const smallBytes = 1_024;

/** Processes behind a target, by pid; asked before each measurement, since containers come and go. */
export type Parts = () => ReadonlyMap<number, Role>;

/** A target with a load generator of its own, each in a process of its own. */
export class Contender implements AsyncDisposable {
  readonly name: string;
  readonly title: string;
  readonly #plan: ContenderPlan;
  readonly #client = new BenchProcess('client-main');
  readonly #parts: Parts;
  readonly #signal: AbortSignal;

  constructor(plan: ContenderPlan, parts: Parts, signal: AbortSignal) {
    this.name = plan.name;
    this.title = plan.title;
    this.#plan = plan;
    this.#parts = parts;
    this.#signal = signal;
  }

  /** With the load generator itself. */
  get processes(): ReadonlyMap<number, Role> {
    return new Map([...this.#parts(), [this.#client.pid, 'client']]);
  }

  async open(destination: Destination): Promise<void> {
    await this.#job('open', destination);
  }

  /**
   * Warms up, with every answer looked at: first many calls at once, then few, since batches of many calls leave the code
   * that runs once a batch cold.
   */
  async warmUp({ calls, payloadBytes }: { readonly calls: number; readonly payloadBytes: number }): Promise<void> {
    const payload = this.#payload(payloadBytes);
    // Calls that overlap and are larger than what travels at once may overtake each other.
    const inFlight = payloadBytes > smallBytes ? 1 : this.#plan.inFlight;
    await this.#job('check', { callers: 64, calls, inFlight, payload });
    await this.#job('check', { callers: 2, calls: Math.ceil(calls / 2), inFlight: 1, payload });
  }

  /** After a short while of the same that does not count: whoever was not its turn has cold caches. */
  async load(plan: Omit<LoadPlan, 'payload'> & { readonly payloadBytes: number }): Promise<Measurement> {
    const { payloadBytes, ...rest } = plan;
    const load: LoadPlan = { ...rest, payload: this.#payload(payloadBytes) };
    await this.#job('load', { ...load, seconds: plan.seconds * leadInShare });
    return this.measure('load', load);
  }

  async measure<K extends Load>(kind: K, plan: Jobs[K]['plan']): Promise<Measurement> {
    const processes = this.processes;
    const cpuOf = (): [Role, number][] => [...processes].map(([pid, role]) => [role, cpuSecondsOf(pid)]);
    const ownCpu = (): number => cpuSecondsOf(process.pid);
    const before = { ours: cpuOf(), own: ownCpu(), machine: machineBusySeconds() };
    const result: LoadResult = await this.#job(kind, plan);
    const cpuSeconds: Partial<Record<Role, number>> = {};
    let oursSeconds = ownCpu() - before.own;
    for (const [index, [role, after]] of cpuOf().entries()) {
      const spent = Math.max(0, after - (before.ours[index]?.[1] ?? 0));
      cpuSeconds[role] = (cpuSeconds[role] ?? 0) + spent;
      oursSeconds += spent;
    }
    const otherSeconds = machineBusySeconds() - before.machine - oursSeconds;
    return { ...result, cpuSeconds, otherCores: Math.max(0, otherSeconds / result.seconds) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  /** Small ones are what most calls carry, text; large ones are what files and images are, bytes. */
  #payload(bytes: number): PayloadPlan {
    return { bytes, as: bytes > smallBytes ? 'bytes' : this.#plan.payload };
  }

  async #job<K extends keyof Jobs>(kind: K, plan: Jobs[K]['plan']): Promise<Jobs[K]['result']> {
    const seconds = 'seconds' in plan ? plan.seconds : 0;
    this.#client.send({ kind, plan } as JobRequest);
    const reply = await this.#client.receive<JobReply>({
      withinMs: seconds * 1_000 + patienceMs,
      signal: this.#signal,
    });
    if ('error' in reply) throw new Error(`${this.title}, ${kind}: ${reply.error}`);
    return reply.result as Jobs[K]['result'];
  }
}
