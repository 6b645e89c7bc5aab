import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import type { Transport } from '../../common/ports/channel.js';
import type { ContainerExit } from '../../common/ports/container.js';
import type { Store } from '../../common/ports/store.js';
import { FrameKind } from '../../wire/frames/frames.js';
import { DurableState } from '../instances/durable-state.js';
import { howItEnded } from '../instances/instance-errors.js';
import type { LogBook } from '../log-book.js';
import { LogGate } from '../log-gate.js';
import { type ObjectAccess, objectRoom } from '../objects/container-objects.js';
import { Tunnels } from '../tunnels.js';
import type { Container } from './container.js';
import type { ContainerEvents, DeadContainer } from './container-events.js';

export interface ContainerListenerDeps extends Pick<ObjectAccess, 'objects' | 'account'> {
  readonly clock: Clock;
  readonly logs: LogBook;
  readonly log: Logger;
  readonly store: Pick<Store, 'state' | 'alarms' | 'pins'>;
  readonly mayRun: () => boolean;
  /** Rejects while no router has been heard of. */
  readonly transport: () => Transport;
}

/** Of instances that a line of the log names. */
const namedInstances = 10;

/** What each container says besides its answers, and who in the worker hears it. */
export function containerListeners(deps: ContainerListenerDeps): (container: Container) => ContainerEvents {
  const { clock, transport, objects, account } = deps;
  const shared = { transport, clock, objects: { objects, account, clock, room: objectRoom() } };
  return (container) => {
    const tunnels = new Tunnels(container, shared);
    const state = new DurableState(container, deps);
    const gate = new LogGate(clock);
    return {
      onLog: (origin, body) => deps.logs.write(origin, body, gate),
      onRequest: (kind, from, body) => {
        if (kind === FrameKind.State) state.onFrame(from, body);
        else tunnels.onFrame(kind, from.ref, body);
      },
      onDied: (exit, died) => {
        tunnels.close();
        state.close();
        // The end of a fenced worker is that of all its containers, and is told once.
        const isLoss = died !== null && died.instances.length > 0 && !died.isEndedHere;
        if (isLoss && deps.mayRun()) tell(container.id, { exit, died }, deps);
      },
    };
  };
}

/** Whoever runs the worker learns it from its log, whoever wrote the class from that of its instances. */
function tell(
  container: string,
  { exit, died }: { readonly exit: ContainerExit; readonly died: DeadContainer },
  { log, logs }: ContainerListenerDeps,
): void {
  const { app, className, instances, calls } = died;
  const how = howItEnded(exit);
  const named = instances.slice(0, namedInstances).map(({ id, epoch }) => ({ id, epoch }));
  log.warn('container.died', {
    ...{ container, class: `${app}/${className}`, how, calls },
    ...{ instances: named, more: instances.length - named.length },
  });
  const [first = null] = instances;
  const isOne = instances.length === 1;
  const whose = isOne ? 'this instance' : `${instances.length} instances`;
  logs.note({ app, className, instance: isOne ? first : null }, `the container of ${whose} ${how}`);
}
