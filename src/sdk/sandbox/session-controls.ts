import type { SessionArguments } from '../../common/session-options.js';
import type { CallLimits } from '../calls/call-limits.js';
import type { CloseOptions, CloseResult } from '../infos.js';
import type { Sandbox } from './sandbox.js';
import type { SandboxSession } from './sandbox-session.js';
import type { SessionCalls } from './session-calls.js';
import type { SandboxHandle, SandboxSessionInfo } from './types.js';

/** What a session is beside its calls: on a worker or in this process. */
export interface SessionControls {
  readonly local: boolean;
  readonly closed: boolean;
  readonly handle: SandboxHandle;
  /** Made by this program alone: disposing closes it. */
  readonly isOwned: boolean;
  /** The limits are checked. */
  inspect(options: CallLimits): Promise<SandboxSessionInfo>;
  close(options: CloseOptions): Promise<CloseResult>;
  /** A fresh session of the same sandbox, where this one is. */
  open(args: SessionArguments, limits?: CallLimits): Promise<SandboxSession>;
}

export interface SessionInit {
  readonly sandbox: Sandbox;
  readonly calls: SessionCalls;
  readonly controls: SessionControls;
}
