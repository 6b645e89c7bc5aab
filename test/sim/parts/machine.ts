import type { SeededRandom } from '../engine/seeded-random.js';
import { type SimHost, SimProcess } from '../engine/sim-process.js';
import type { Timeline } from '../engine/timeline.js';

/** How long a SIGKILL takes; a process that waits for a disk takes longer. */
const quickKillMs = 4;
const slowKillMs = 2_500;

/** A host and what only its kernel does: it starts processes and ends them. */
export class Machine {
  readonly host: SimHost;
  /** Whatever happens to the host itself. */
  readonly kernel: SimProcess;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #slowKills: number;
  readonly #dying = new Set<SimProcess>();
  #processes: SimProcess[] = [];
  #started = 0;

  constructor(timeline: Timeline, name: string, of: { readonly drift: number; readonly slowKills: number }) {
    this.#timeline = timeline;
    this.#slowKills = of.slowKills;
    this.#random = timeline.random.fork(`machine ${name}`);
    this.host = {
      name,
      monotonicOffsetMs: this.#random.between(1_000, 100_000_000),
      rate: 1 + this.#random.between(-of.drift, of.drift),
      wallOffsetMs: this.#random.between(-200, 200),
      isDown: false,
    };
    this.kernel = new SimProcess(timeline, `${name}:kernel`, this.host);
  }

  start(name: string): SimProcess {
    this.#started += 1;
    const process = new SimProcess(this.#timeline, `${name}#${this.#started}`, this.host);
    this.#processes = this.#processes.filter(({ isAlive }) => isAlive);
    this.#processes.push(process);
    return process;
  }

  /** SIGKILL, which may take a while. */
  kill(process: SimProcess): void {
    if (!process.isAlive || this.#dying.has(process)) return;
    this.#dying.add(process);
    const takesMs = this.#random.next() * (this.#random.chance(this.#slowKills) ? slowKillMs : quickKillMs);
    this.kernel.in(takesMs, () => {
      this.#dying.delete(process);
      process.kill();
    });
  }

  /** Power off: everything ends, and nobody is told. */
  crash(): void {
    this.host.isDown = true;
    for (const process of this.#processes) process.kill();
    this.#processes = [];
  }

  stopAll(): SimProcess[] {
    const running = this.#processes.filter(({ isAlive, isStopped }) => isAlive && !isStopped);
    for (const process of running) process.stop();
    return running;
  }
}
