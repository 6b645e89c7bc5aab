import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import type { Clock, Random } from '../../common/clock.js';
import type { ContainerProcess, ContainerStarter } from '../../common/ports/container.js';
import type { Watchdog } from '../../common/ports/watchdog.js';
import { SocketChannel } from '../../wire/link/socket-channel.js';
import type { Cgroups } from './cgroups.js';
import { ConfinedProcess } from './confined-process.js';
import { harmlessEnv } from './container-env.js';
import { containerProcess, notStarted, readyInTime } from './container-process.js';
import { nodeArguments } from './node-arguments.js';
import { receiveReady } from './ready-signal.js';

export interface ContainerStarterOptions {
  /** Path of cli/container-main.js. */
  readonly entry: string;
  readonly cgroups: Cgroups;
  readonly watchdog: Watchdog;
  readonly clock: Clock;
  readonly random: Random;
  /** The worker's environment, of which a container gets a few harmless variables. */
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  /** Given to every container on top of that. */
  readonly env: Readonly<Record<string, string>>;
}

const idBytes = 10;

/** Starts containers as processes of this host, each in its cgroup and guarded before it is handed over. */
export function createContainerStarter(options: ContainerStarterOptions): ContainerStarter {
  const env = { HOME: tmpdir(), ...harmlessEnv(options.hostEnv), ...options.env };
  return { start: (memoryMb) => start(options, env, memoryMb) };
}

/** @throws Unavailable where the process does not come up */
async function start(
  options: ContainerStarterOptions,
  env: Record<string, string>,
  memoryMb: number,
): Promise<ContainerProcess> {
  const id = `c${Buffer.from(options.random.bytes(idBytes)).toString('hex')}`;
  const cgroup = options.cgroups.create(id);
  const child = spawn(process.execPath, [...nodeArguments(memoryMb), options.entry], {
    // A process group of its own, for hosts without cgroups and against Ctrl-C.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env,
    cwd: tmpdir(),
  });
  if (!hasStarted(child)) {
    cgroup.remove();
    throw notStarted(id, String((await once(child, 'error'))[0]));
  }
  const socket = child.stdio[3] as Socket;
  socket.on('error', () => {
    // Until the channel is opened nobody else listens; its exit tells.
  });
  const ready = receiveReady(socket);
  const { limitsMemory } = options.cgroups;
  const confined = new ConfinedProcess({ id, child, cgroup, limitsMemory, clock: options.clock });
  void forgetWhenGone(confined, options.watchdog);
  try {
    cgroup.add(confined.pid);
    await options.watchdog.guard({ containerId: id, pid: confined.pid, cgroups: cgroup.folders });
    await readyInTime(confined, ready, options.clock);
    return containerProcess(confined, new SocketChannel(socket));
  } catch (error) {
    confined.kill();
    await confined.exited;
    cgroup.remove();
    throw error;
  }
}

/** The watchdog lets go of a container only when nothing of it is left. */
async function forgetWhenGone(confined: ConfinedProcess, watchdog: Watchdog): Promise<void> {
  await confined.removed();
  watchdog.release(confined.id);
}

function hasStarted(child: ChildProcess): child is ChildProcess & { readonly pid: number } {
  return child.pid !== undefined;
}
