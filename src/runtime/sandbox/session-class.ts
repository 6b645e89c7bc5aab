import type { InstanceClass } from '../../common/activation.js';
import type { Clock } from '../../common/clock.js';
import { currentCallContext } from '../../common/context.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import type { ByteTickets } from './guest/byte-tickets.js';
import type { OutputBudget } from './guest/output-budget.js';
import type { OutputPace } from './guest/output-pace.js';
import type { SandboxContainer } from './sandbox-container.js';
import { imageEnv } from './sandbox-env.js';
import { SessionHost } from './session-host.js';
import type { SessionMemory } from './session-parts.js';

/** What a session gets from the sandbox that it is one of. */
export interface SessionFacts {
  /** Of one command. */
  readonly timeoutMs: number;
  readonly memoryMb: number;
  readonly env: Readonly<Record<string, string>>;
}

/** The class whose one instance is the session in this sandbox. @param facts read when it is made */
export function sessionClass(
  container: SandboxContainer,
  parts: {
    readonly clock: Clock;
    readonly wheel: TimerWheel;
    readonly budget: OutputBudget;
    readonly pace: OutputPace;
    readonly tickets: ByteTickets | null;
    /** Of before it slept; null: it is new. */
    readonly resumed: SessionMemory | null;
  },
  facts: () => SessionFacts,
): InstanceClass {
  function Session(options: unknown): SessionHost {
    const { appName, className, instanceId } = currentCallContext();
    const { env, ...limits } = facts();
    const host = new SessionHost(
      {
        ...parts,
        ...limits,
        label: `${appName}/${className}/${instanceId}`,
        guest: container.guest,
        box: container,
        baseEnv: { ...imageEnv(container.settings), ...env },
      },
      options,
    );
    container.hosts(host);
    // What a constructor returns is what `new` gives.
    return host;
  }
  return Session as unknown as InstanceClass;
}
