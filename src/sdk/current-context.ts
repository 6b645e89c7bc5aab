import { currentCallContext, type Logger } from '../common/context.js';

/** What a method or hook can ask about itself. */
export interface CurrentContext {
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
}

/** Available in constructors, hooks and methods, and in what they start. @throws InvalidArgument elsewhere */
export function currentContext(): CurrentContext {
  return currentCallContext();
}
