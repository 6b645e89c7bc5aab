import type { IsolatedSpec, IsolationBackend } from '../../common/ports/sandbox.js';
import type { HostView } from './host-view.js';
import type { LauncherStep } from './launcher.js';

/** How a program is walled in, on what the launcher has prepared for it. */
export interface Walls {
  readonly kind: IsolationBackend['kind'];
  /** The program of the host that does it. @throws SandboxUnavailable */
  readonly findProgram: () => string;
  /** Whose the files of a sandbox are on its disk. @param drawn a user of the host that no other sandbox has */
  readonly userOf: (drawn: number) => number;
  /** Where its outermost process has the disk mounted. */
  readonly diskPath: string;
  readonly start: (parts: WalledStart) => Promise<StartWords>;
}

export interface WalledStart {
  readonly spec: IsolatedSpec;
  readonly host: HostView;
  readonly program: string;
  readonly cgroupFolders: readonly string[];
  readonly scratch: { readonly copying: LauncherStep; readonly file: string; readonly uid: number };
  /** Its own, made where it is needed, and removed when its process is gone. */
  readonly folder: string;
}

/** `words` for the launcher, and `args` that the program reads from a descriptor. */
export interface StartWords {
  readonly words: readonly string[];
  readonly args: readonly string[];
}
