import type { Clock } from '../../common/clock.js';
import type { InstanceKey } from '../../common/ids.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import type { BindBody } from '../../wire/frames/frames.js';
import type { Activator } from '../instances/activator.js';
import type { Instance } from '../instances/instance.js';

/** What a client's session needs of its worker. */
export interface ClientHost {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** False: this boot admits nothing more (S7). Asked before every admission. */
  mayAdmit(): boolean;
  find(key: InstanceKey): Instance | undefined;
  readonly placements: Pick<Activator, 'arrival' | 'expect' | 'names'>;
  /** @throws PermissionDenied */
  checkCapability(bind: BindBody): void;
  countCall(outcome: 'admitted' | 'moved' | 'refused'): void;
}
