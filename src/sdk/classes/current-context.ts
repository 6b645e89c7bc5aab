import { currentCallContext, type Logger } from '../../common/context.js';
import type { InstanceAlarm } from '../../common/instance-alarm.js';
import type { InstanceStorage } from '../../common/instance-storage.js';

/** What a method or hook can ask about itself. */
export interface CurrentContext extends InstanceAlarm {
  readonly appName: string;
  readonly className: string;
  readonly instanceId: string;
  /** Null in the constructor and in hooks. */
  readonly callId: string | null;
  readonly attempt: number;
  /** Rises at every activation: hand it to outside systems that can fence. */
  readonly epoch: number;
  /** True in the first activation after the previous one was lost. */
  readonly restarted: boolean;
  /** Aborted at cancel, timeout, force close, lost lease. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** What this instance keeps when it sleeps or its worker is lost, until it is closed. Good for as long as the activation. */
  readonly storage: InstanceStorage;
}

/** Available in constructors, hooks and methods, and in what they start. @throws InvalidArgument elsewhere */
export function currentContext(): CurrentContext {
  return currentCallContext();
}
