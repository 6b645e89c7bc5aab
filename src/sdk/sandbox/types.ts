import type { SessionArguments } from '../../common/session-options.js';
import type { ClassInstanceHandle, InstanceInfo } from '../infos.js';

/** Bytes in any form that this package takes them. */
export type Bytes = Uint8Array | ArrayBuffer;

/** Names one session, as plain data; see `ClassInstanceHandle`. */
export type SandboxHandle = ClassInstanceHandle & { readonly kind: 'sandbox' };

/** How a command runs. */
export interface ExecOptions {
  /** The command is a line for `/bin/sh -c`. */
  readonly shell?: boolean;
  /** Default: the session's. */
  readonly cwd?: string;
  /** On top of the session's. */
  readonly env?: Readonly<Record<string, unknown>>;
  /** At the limit the whole process group is killed, and what it printed is kept. */
  readonly timeoutMs?: number;
  /** Aborted: the process group is killed, the call fails with `Cancelled`. */
  readonly signal?: AbortSignal;
  /** Default: closed. */
  readonly stdin?: string | Bytes | AsyncIterable<Bytes>;
  /** Throw `CommandFailed` on a non-zero exit. */
  readonly check?: boolean;
  /** Of each stream, kept in the result. Default 16 MiB; the rest is dropped and `truncated` set. */
  readonly maxOutputBytes?: number;
}

/** `spawn` can also have a terminal. */
export interface SpawnOptions extends ExecOptions {
  readonly pty?: { readonly cols: number; readonly rows: number };
}

/** How a command went. */
export interface SandboxExecResult {
  readonly command: readonly string[];
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly truncated: boolean;
  readonly durationMs: number;
  readonly pid: number;
}

/** What a command does, in the order in which it was seen. */
export type SandboxStreamEvent =
  | { readonly type: 'start'; readonly pid: number }
  | {
      readonly type: 'stdout' | 'stderr';
      readonly data: string;
      readonly bytes: Uint8Array;
      /** Bytes of the process's output, both streams in the order seen, before this. */
      readonly offset: number;
    }
  | {
      readonly type: 'exit';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly timedOut: boolean;
      readonly durationMs: number;
    };

/** One file, directory or link; a link is not followed. */
export interface FileStat {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  /** Bytes. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly modifiedAt: Date;
}

/** A change of a file that is watched. */
export interface FileChange {
  readonly type: 'create' | 'modify' | 'delete' | 'rename';
  readonly path: string;
}

/** A sandbox as it is deployed. */
export interface SandboxInfo {
  readonly appName: string;
  readonly name: string;
  readonly deployment: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly liveSessions: number;
}

/**
 * One session as the router, its worker and its inside see it; one that sleeps has no processes. Its `files` are those on its own
 * disk, directories and a few of its own making included, without what its image, mounts and host bring; null while it sleeps.
 */
export type SandboxSessionInfo = InstanceInfo & {
  readonly cwd: string;
  readonly processes: readonly {
    readonly pid: number;
    readonly command: readonly string[];
    readonly startedAt: Date;
  }[];
  readonly memoryBytes: number;
  readonly files: { readonly count: number; readonly bytes: number } | null;
  readonly tags: readonly string[];
};

/** Options as they travel as the constructor's arguments; none where nothing was given. */
export type GivenArguments = readonly [] | readonly [SessionArguments];
