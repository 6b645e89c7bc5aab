import { AsyncLocalStorage } from 'node:async_hooks';
import type { Monotonic } from './clock.js';
import { HoldfastError } from './errors.js';
import type { InstanceAlarm } from './instance-alarm.js';
import type { InstanceStorage } from './instance-storage.js';

/** Writes structured lines that carry the instance and the call. */
export interface Logger {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

/** One call on the way from the first caller to this one. */
export interface CallLink {
  readonly callId: string;
  /** `app/Class/id.method`, for messages. */
  readonly label: string;
}

/** What a method or hook can ask about itself, and what its nested calls inherit. */
export interface CallContext extends InstanceAlarm {
  readonly appName: string;
  readonly className: string;
  readonly instanceId: string;
  /** Null in the constructor and in hooks. */
  readonly callId: string | null;
  /** 1 and up: of the call, or in hooks of the activation. */
  readonly attempt: number;
  readonly epoch: number;
  /** True in the first activation after the previous one was lost. */
  readonly restarted: boolean;
  /** Aborted at cancel, timeout, force close, lost lease. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly storage: InstanceStorage;
  /** The calls that led here, this one last: a nested call carries them, so that a circle is found (C1). */
  readonly chain: readonly CallLink[];
  /** Until when this call's caller waits; bounds its nested calls. */
  readonly deadline: Monotonic | null;
  readonly traceparent: string | null;
}

const storage = new AsyncLocalStorage<CallContext>();

/** Runs `task`, and all that it starts, with that context as the current one. */
export function runInContext<R>(context: CallContext, task: () => R): R {
  return storage.run(context, task);
}

/** Runs `task`, and all that it starts, as if no method or hook had. */
export function runOutsideContext<R>(task: () => R): R {
  return storage.exit(task);
}

/** The context of the method or hook that is running. @throws InvalidArgument outside of one */
export function currentCallContext(): CallContext {
  const context = storage.getStore();
  if (context === undefined) {
    throw new HoldfastError(
      'InvalidArgument',
      'currentContext() is only available inside methods and hooks of a class; call it there and pass on what it returns',
    );
  }
  return context;
}

/** The same, or null outside of a method or hook: for nested calls, which take what there is. */
export function callContextOrNull(): CallContext | null {
  return storage.getStore() ?? null;
}
