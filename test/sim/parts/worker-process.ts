import { silentLog } from '../../../src/cli/parts/silent-log.js';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import type { SigningKey } from '../../../src/common/ports/store.js';
import { createWorkerMetrics } from '../../../src/runtime/metrics.js';
import { Worker } from '../../../src/runtime/worker.js';
import type { WorkerConfig, WorkerDeps } from '../../../src/runtime/worker-options.js';
import { decodeArgs } from '../../../src/wire/codec/codec.js';
import { readCall, readFrames } from '../../../src/wire/frames/frame-reader.js';
import { CallFlag, FrameKind } from '../../../src/wire/frames/frames.js';
import { LinkMessage } from '../../../src/wire/link/link-messages.js';
import { LoanMessage, readLent } from '../../../src/wire/loan-messages.js';
import type { Work } from '../app/recorder.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { ConnectionEnd } from '../net/connection.js';
import type { Listener } from '../net/dial.js';
import { account, type ClusterContext } from './cluster-context.js';
import { ContainerRuns } from './container-runs.js';
import type { Machine } from './machine.js';
import { SimTransport } from './sim-transport.js';
import { WatchdogRun } from './watchdog-run.js';

const metrics = createWorkerMetrics();
const firstRetryMs = 200;
const longestRetryMs = 5_000;

export interface WorkerSettings {
  readonly workerId: WorkerId;
  readonly address: string;
  readonly maxContainers: number;
  readonly warmContainers: number;
  readonly cpuCores: number;
}

/** One run of a worker's process: boot after boot, as `holdfast worker` does, each with its watchdog and containers. */
export class WorkerProcess implements Listener {
  readonly process: SimProcess;
  readonly #context: ClusterContext;
  readonly #machine: Machine;
  readonly #settings: WorkerSettings;
  #worker: Worker | null = null;
  #watchdog: WatchdogRun | null = null;
  #containers = new Map<string, SimProcess>();
  #lastContainer = 0;
  #isEnding = false;

  constructor(context: ClusterContext, machine: Machine, settings: WorkerSettings) {
    this.process = machine.start(settings.workerId);
    this.#context = context;
    this.#machine = machine;
    this.#settings = settings;
    this.process.in(1, () => void this.#keepBooting());
  }

  /** Of the boot that runs, or ran last. */
  get watchdog(): SimProcess | null {
    return this.#watchdog?.process ?? null;
  }

  get containers(): SimProcess[] {
    return [...this.#containers.values()];
  }

  accept(channel: ConnectionEnd): void {
    const worker = this.#worker;
    if (worker === null) {
      const ignore = (): void => undefined;
      channel.open({ onMessage: ignore, onDrain: ignore, onClosed: ignore });
      return channel.close();
    }
    channel.onSend = (message) => {
      if (message[0] === LinkMessage.batch) this.#context.history.answered(worker.bootId);
      if (message[0] === LoanMessage.lent) this.#lent(worker.bootId, channel.peer.process, message);
    };
    worker.accept(channel);
  }

  /** SIGTERM. Its process ends when all has left. */
  async drain(): Promise<void> {
    this.#isEnding = true;
    await this.#worker?.stop();
    this.process.in(5, () => this.process.kill());
  }

  #lent(lender: BootId, to: SimProcess, message: Uint8Array): void {
    const { history } = this.#context;
    const container = this.#containers.get(readLent(message).containerId);
    const borrower = [...history.boots].findLast(([, { worker }]) => worker === to)?.[0];
    if (container !== undefined && borrower !== undefined) history.lent(container, { borrower, lender });
  }

  async #keepBooting(): Promise<void> {
    for (let delayMs = firstRetryMs; !this.#isEnding; ) {
      try {
        this.#worker = await this.#boot();
        delayMs = firstRetryMs;
        await ended(this.#worker);
        this.#context.timeline.note(this.process, 'boot is over', String(this.#worker.over.reason));
      } catch {
        // The store does not answer, or the watchdog did not start: the next attempt may do better.
        await this.process.clock.sleep(delayMs);
        delayMs = Math.min(longestRetryMs, delayMs * 2);
      }
    }
  }

  #boot(): Promise<Worker> {
    const { process } = this;
    const context = this.#context;
    const bus = context.bus.connect(process);
    const containers = new Map<string, SimProcess>();
    this.#containers = containers;
    const config: WorkerConfig = {
      ...this.#settings,
      account,
      offer: {},
      isolation: 'process',
      maxSandboxes: 0,
      warmSandboxes: 0,
      sandboxLack: 'the simulation has none',
      containerEnv: {},
      leaseTimes: context.leaseTimes,
    };
    const deps: WorkerDeps = {
      store: context.storeOf(process),
      bus,
      objects: context.objects.connect(process),
      bundles: { path: async () => '/bundle' },
      clock: process.clock,
      random: process.random,
      metrics,
      log: silentLog,
      startWatchdog: async (bootId, deadline) => {
        const at = { machine: this.#machine, worker: process, containers };
        this.#watchdog = await WatchdogRun.start(context, at, { bootId, deadline });
        context.history.booted(bootId, { worker: process, watchdog: this.#watchdog.process });
        return this.#watchdog;
      },
      starterOf: (bootId, watchdog) =>
        new ContainerRuns({
          context,
          machine: this.#machine,
          worker: process,
          watchdog,
          containers,
          onSend: (container, message) => this.#sentToContainer(bootId, { container, message }),
          onAnswer: (container, message) => this.#sentByContainer(container, message),
          nextId: () => `${process.name}.c${++this.#lastContainer}`,
        }),
      sandboxPlatform: () => null,
      transport: (_keys: readonly SigningKey[]) => new SimTransport(context, process, context.routerAddresses),
      hostResources: () => ({ cpuCores: this.#settings.cpuCores, freeMemoryMb: 65_536 }),
    };
    return Worker.start(config, deps);
  }

  #sentToContainer(
    bootId: BootId,
    { container, message }: { readonly container: SimProcess; readonly message: Uint8Array },
  ): void {
    const { history } = this.#context;
    // biome-ignore lint/complexity/useMaxParams: as the reader calls it
    readFrames(message, (kind, ref, _slot, frame) => {
      if (kind !== FrameKind.Call) return;
      history.started(bootId, container);
      const { flags, payload } = readCall(frame);
      if ((flags & CallFlag.queued) === 0) return;
      const [work] = decodeArgs(payload) as [Work];
      history.sentAhead(container, ref, work.operation);
    });
  }

  #sentByContainer(container: SimProcess, message: Uint8Array): void {
    readFrames(message, (kind, ref) => {
      if (kind === FrameKind.Moved) this.#context.history.givenBack(container, ref);
    });
  }
}

function ended(worker: Worker): Promise<void> {
  const { over } = worker;
  if (over.aborted) return Promise.resolve();
  return new Promise((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));
}
