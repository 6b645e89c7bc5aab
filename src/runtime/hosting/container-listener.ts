import type { Clock } from '../../common/clock.js';
import type { Transport } from '../../common/ports/channel.js';
import type { Store } from '../../common/ports/store.js';
import { FrameKind } from '../../wire/frames/frames.js';
import { DurableState } from '../instances/durable-state.js';
import type { LogBook } from '../log-book.js';
import { LogGate } from '../log-gate.js';
import { Tunnels } from '../tunnels.js';
import type { Container } from './container.js';
import type { ContainerEvents } from './container-events.js';

export interface ContainerListenerDeps {
  readonly clock: Clock;
  readonly logs: LogBook;
  readonly store: Pick<Store, 'state' | 'alarms' | 'pins'>;
  readonly mayRun: () => boolean;
  /** Rejects while no router has been heard of. */
  readonly transport: () => Transport;
}

/** What one container says besides its answers, and who in the worker hears it. */
export function containerListener(container: Container, deps: ContainerListenerDeps): ContainerEvents {
  const tunnels = new Tunnels(container, deps.transport);
  const state = new DurableState(container, deps);
  const gate = new LogGate(deps.clock);
  return {
    onLog: (origin, body) => deps.logs.write(origin, body, gate),
    onRequest: (kind, from, body) => {
      if (kind === FrameKind.State) state.onFrame(from, body);
      else tunnels.onFrame(kind, from.ref, body);
    },
    onDied: () => {
      tunnels.close();
      state.close();
    },
  };
}
