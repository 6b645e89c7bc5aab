import { type ErrorCode, HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { TreeAsk } from './trees/tree-ask.js';
import type { CommitAsk, MountOptions } from './volume-mount.js';

/** A mount that is asked for. */
export interface MountAsk extends MountOptions {
  /** Of its folder. */
  readonly name: string;
  /** The user of the host whose files they are. */
  readonly uid: number;
  /** Whose mount it is: what all of his keep on this host until a commit has one limit. */
  readonly owner: string;
  readonly maxLocalBytes: number;
}

/** From a worker to the process of its mounts; each is answered by its id. */
export type MountOrder = { readonly id: number } & (
  | {
      readonly type: 'start';
      readonly bootId: string;
      /** Holds a folder for each such process. */
      readonly folder: string;
      readonly launcher: string;
      readonly cacheBytes: number;
      /** What the process opens its stores by; may hold passwords, hence never in its arguments. */
      readonly stores: unknown;
    }
  | { readonly type: 'attach'; readonly mount: MountAsk }
  | { readonly type: 'attach-tree'; readonly mount: TreeAsk }
  | { readonly type: 'detach'; readonly name: string }
  | { readonly type: 'commit'; readonly name: string; readonly ask: CommitAsk }
  | { readonly type: 'reload'; readonly name: string; readonly isForced: boolean }
  | { readonly type: 'ping' }
  | { readonly type: 'stop' }
);

/** Without the id, which whoever sends it gives it. */
export type MountRequest = MountOrder extends infer O ? (O extends MountOrder ? Omit<O, 'id'> : never) : never;

export type MountAnswer = { readonly id: number } & (
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly error: MountError }
);

interface MountError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

export function mountError(error: unknown): MountError {
  if (!isHoldfastError(error)) return { code: 'Unavailable', message: String(error), retryable: true, details: {} };
  const { code, message, retryable, details } = error;
  return { code, message, retryable, details };
}

export function errorOf({ code, message, retryable, details }: MountError): HoldfastError {
  return new HoldfastError(code, message, { retryable, details });
}
