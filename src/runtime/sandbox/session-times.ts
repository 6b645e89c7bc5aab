import { checkSessionOptions } from '../../common/session-options.js';
import { decodeArgs } from '../../wire/codec.js';

/** How long one session lives. */
export interface SessionTimes {
  /** Null: the sandbox's. */
  readonly idleTimeoutMs: number | null;
  /** From its first start. Null: no limit. */
  readonly lifetimeMs: number | null;
}

/** @param args encoded, of the session; @throws InvalidArgument */
export function sessionTimes(args: Uint8Array): SessionTimes {
  const [options] = decodeArgs(args);
  const { idleTimeoutMs = null, lifetimeMs = null } = checkSessionOptions('a session', (options ?? {}) as object);
  return { idleTimeoutMs, lifetimeMs };
}
