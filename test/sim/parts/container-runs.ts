import { HoldfastError } from '../../../src/common/errors.js';
import type { Channel, Transport } from '../../../src/common/ports/channel.js';
import type {
  ContainerExit,
  ContainerLimits,
  ContainerProcess,
  ContainerStarter,
} from '../../../src/common/ports/container.js';
import type { Watchdog } from '../../../src/common/ports/watchdog.js';
import { runContainer } from '../../../src/runtime/container/run-container.js';
import { findClass } from '../../../src/sdk/classes/container-hooks.js';
import { clientWith } from '../../../src/sdk/client.js';
import { outside, setInside } from '../app/inside.js';
import type { SimProcess } from '../engine/sim-process.js';
import { Connection } from '../net/connection.js';
import type { ClusterContext } from './cluster-context.js';
import type { Machine } from './machine.js';

const startsWithin = { fromMs: 10, toMs: 250 };

export interface ContainerRunsParts {
  readonly context: ClusterContext;
  readonly machine: Machine;
  readonly worker: SimProcess;
  readonly watchdog: Watchdog;
  /** Those of the boot, by id; kept up to date. */
  readonly containers: Map<string, SimProcess>;
  /** What the worker writes into a container. */
  readonly onSend: (container: SimProcess, message: Uint8Array) => void;
  /** What a container writes to the worker. */
  readonly onAnswer: (container: SimProcess, message: Uint8Array) => void;
  readonly nextId: () => string;
}

/** Starts containers as processes of the simulation, with the product's code and the classes of the test in them. */
export class ContainerRuns implements ContainerStarter {
  readonly #parts: ContainerRunsParts;

  constructor(parts: ContainerRunsParts) {
    this.#parts = parts;
  }

  async start(): Promise<ContainerProcess> {
    const { machine, worker, watchdog, containers, context, onSend, onAnswer, nextId } = this.#parts;
    const { random, clock } = worker;
    const id = nextId();
    const process = machine.start(id);
    containers.set(id, process);
    const connection = new Connection(context.network, worker, process);
    connection.left.onSend = (message) => onSend(process, message);
    connection.right.onSend = (message) => onAnswer(process, message);
    const run = new ContainerRun({ id, process, worker, machine, channel: connection.left });
    process.onDeath(() => containers.delete(id));
    void run.exited.then(() => watchdog.release(id));
    try {
      await watchdog.guard({ containerId: id, pid: 0, cgroups: [] });
      await clock.sleep(random.between(startsWithin.fromMs, startsWithin.toMs));
      if (random.chance(outside().trouble.failedStarts))
        throw new HoldfastError('Unavailable', `container ${id} did not start`);
    } catch (error) {
      // Nobody else would open it.
      connection.left.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
      run.kill();
      await run.exited;
      throw error;
    }
    process.in(0.1, () => serve(process, connection.right));
    return run;
  }
}

function serve(process: SimProcess, channel: Channel): void {
  const { clock, random } = process;
  const container = runContainer({
    channel,
    resolveClass: findClass,
    load: async () => undefined,
    clock,
    onTransport: (transport: Transport) =>
      setInside(process, clientWith({ transport, endpoint: 'the worker of this container', clock, random })),
  });
  void container.closed.then(() => process.in(1, () => process.kill()));
}

interface ContainerRunParts {
  readonly id: string;
  readonly process: SimProcess;
  readonly worker: SimProcess;
  readonly machine: Machine;
  readonly channel: Channel;
}

class ContainerRun implements ContainerProcess {
  readonly id: string;
  readonly pid = null;
  readonly channel: Channel;
  readonly exited: Promise<ContainerExit>;
  readonly #parts: ContainerRunParts;

  constructor(parts: ContainerRunParts) {
    const { id, channel, process, worker } = parts;
    this.id = id;
    this.channel = channel;
    this.#parts = parts;
    this.exited = new Promise((resolve) => {
      process.onDeath(() => {
        const exit = { exitCode: null, signal: 'SIGKILL', outOfMemory: false };
        worker.in(worker.random.between(0.1, 20), () => resolve(exit));
      });
    });
  }

  limit(_limits: ContainerLimits): void {
    // Memory is no part of the simulation.
  }

  kill(): void {
    this.#parts.machine.kill(this.#parts.process);
  }

  onOutput(): void {
    // It prints nothing.
  }
}
