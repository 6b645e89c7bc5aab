import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import type { ContainerExit, ContainerProcess } from '../../common/ports/container.js';
import type { CgroupLimits } from './cgroups.js';

/** Processes and threads of one class container; Node alone has about a dozen. */
export const maxContainerPids = 4_096;
const startTimeoutMs = 30_000;

/** What class containers need of the process they run in, isolated or not. */
export interface HostProcess extends Pick<ContainerProcess, 'id' | 'pid' | 'kill' | 'onOutput'> {
  readonly exited: Promise<ContainerExit>;
  readonly lastWords: string;
  limit(limits: CgroupLimits): void;
}

/** A process that runs cli/container-main, as the worker sees it. */
export function containerProcess(host: HostProcess, channel: Channel): ContainerProcess {
  return {
    id: host.id,
    pid: host.pid,
    channel,
    exited: host.exited,
    limit: (limits) => host.limit({ ...limits, pids: maxContainerPids }),
    kill: () => host.kill(),
    onOutput: (listener) => host.onOutput(listener),
  };
}

/** @throws Unavailable, with its last words, where it ends or is not ready in time */
export async function readyInTime(host: HostProcess, ready: Promise<void>, clock: Clock): Promise<void> {
  const enough = new AbortController();
  const late = clock.sleep(startTimeoutMs, enough.signal).then(
    () => `was not ready within ${startTimeoutMs} ms`,
    () => null,
  );
  const died = host.exited.then(
    ({ exitCode, signal }) => `ended with ${signal ?? `code ${exitCode}`}: ${host.lastWords}`,
  );
  const failure = await Promise.race([ready.then(() => null), late, died]);
  enough.abort();
  if (failure !== null) throw notStarted(host.id, failure);
}

export function notStarted(id: string, why: string): HoldfastError {
  return new HoldfastError('Unavailable', `container ${id} did not start: ${why}`, { details: { containerId: id } });
}
