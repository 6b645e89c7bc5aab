import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { InstanceClass } from '../../common/activation.js';
import type { ContainerExit } from '../../common/ports/container.js';
import type { SessionView } from '../../common/sandbox-methods.js';
import { TimerWheel } from '../../common/timer-wheel.js';
import { OutputBudget } from '../../runtime/sandbox/output-budget.js';
import { defaultDiskGb, SandboxFactory } from '../../runtime/sandbox/sandbox-factory.js';
import { sessionOutputBytes } from '../../runtime/sandbox/sandboxes.js';
import { sessionClass } from '../../runtime/sandbox/session-class.js';
import { createChannelPair } from '../../wire/channel-pair.js';
import { openLocalPlatform } from './sandbox-platform.js';

/** A sandbox of this machine for one session of this process. */
export interface LocalSandbox {
  readonly instanceClass: InstanceClass;
  /** Resolves when its processes have ended, however. */
  readonly died: Promise<ContainerExit>;
  view(): Promise<SessionView | null>;
  /** Resolves when nothing of it is left. */
  end(): Promise<void>;
}

const wheelTickMs = 10;
const wheel = new TimerWheel(systemClock, wheelTickMs);

/** @throws SandboxUnavailable, saying what to install */
export async function startLocalSandbox(limits: {
  readonly timeoutMs: number;
  readonly memoryMb: number;
  readonly cpu: number;
  readonly diskGb?: number;
}): Promise<LocalSandbox> {
  const platform = await openLocalPlatform();
  const factory = new SandboxFactory(platform, systemRandom);
  const { left } = createChannelPair();
  const { memoryMb, timeoutMs, diskGb = defaultDiskGb } = limits;
  const container = await factory.start({
    ...{ memoryMb, diskGb, channel: left, scratch: null },
    onKeep: () => undefined,
  });
  const end = async (): Promise<void> => {
    container.kill();
    await container.exited;
    container.guest.close();
    await container.remove();
    await container.scratch.remove();
  };
  try {
    container.limit(limits);
  } catch (e) {
    await end();
    throw e;
  }
  const budget = new OutputBudget(sessionOutputBytes);
  const parts = { clock: systemClock, wheel, budget, tickets: null, resumed: null };
  return {
    instanceClass: sessionClass(container, parts, () => ({ timeoutMs, memoryMb, env: {} })),
    died: container.exited,
    view: () => container.describe(),
    end,
  };
}
