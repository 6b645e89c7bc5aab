import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { Clock } from '../../common/clock.js';
import type { LayerTool } from '../../common/ports/sandbox.js';
import type { Cgroup } from '../process/cgroups.js';
import { ConfinedProcess } from '../process/confined-process.js';
import { hasStarted, launch, programFailed } from './launcher.js';
import type { LayerWords } from './layer-start.js';
import { unavailable } from './requirements.js';

/** tar remembers the names of hard links, and nothing else that grows. */
const limits = { memoryMb: 256, cpu: 1, pids: 16 };

/** Starts tar behind walls. @throws SandboxUnavailable */
export function startLayerTool(parts: {
  readonly id: string;
  readonly words: LayerWords;
  readonly launcher: string;
  /** File of the seccomp filter. */
  readonly filter: string;
  readonly cgroup: Cgroup;
  readonly clock: Clock;
  /** Runs when it is gone, however it went. */
  readonly after?: (() => Promise<void>) | undefined;
}): LayerTool {
  const { id, words, launcher, filter, cgroup, clock, after } = parts;
  const child = startIn(cgroup, () => launch({ launcher, filter }, words, ['pipe', 'pipe', 'pipe', 'ignore']));
  const confined = new ConfinedProcess({
    ...{ id, child, cgroup, clock, limitsMemory: true, isWrapped: true },
    printsLines: false,
  });
  const ended = async (): Promise<void> => {
    const { exitCode, signal } = await confined.exited;
    await confined.removed();
    await after?.();
    if (exitCode !== 0) throw programFailed('tar', signal ?? exitCode, confined.lastWords);
  };
  const done = ended();
  // Whoever waits hears of it; somebody may have stopped waiting.
  done.catch(() => undefined);
  return {
    input: child.stdin as Writable,
    // Read from now on: Node throws away what nobody has begun to read when a child exits.
    output: (child.stdout as Readable).pipe(new PassThrough()),
    done,
    kill: () => confined.kill(),
  };
}

function startIn(cgroup: Cgroup, start: () => ReturnType<typeof launch>) {
  try {
    cgroup.limit(limits);
    const child = start();
    if (hasStarted(child)) return child;
    child.once('error', () => undefined); // told here
    throw unavailable('the launcher does not run');
  } catch (error) {
    cgroup.remove();
    throw error;
  }
}
