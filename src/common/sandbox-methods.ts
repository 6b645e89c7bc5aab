import type { MethodManifest } from './manifest.js';
import type { FilesTaken } from './ports/sandbox.js';
import type { SessionArguments } from './session-options.js';

/**
 * What a session can be asked over the wire; `SandboxSession` of the SDK is made of these. Commands take a slot of the session's
 * mailbox (C1), all else has a lane of its own. A resource that must not outlive its client (an upload, a connection, a watch)
 * is a generator: who stops reading it lets go of it (C5, C8).
 */
const commands = ['exec', 'spawn'] as const;
const streamedCommands = ['execStream'] as const;
/** Asking again changes nothing: they may run again after an unknown outcome. */
const questions = ['pwd', 'getEnv', 'exists', 'stat', 'list', 'describe', 'findProcess', 'wait', 'snapshot'] as const;
const changes = [
  'chdir',
  'updateEnv',
  'unsetEnv',
  'mkdir',
  'write',
  'uploadPiece',
  'uploadEnd',
  'remove',
  'rename',
  'stdin',
  'closeStdin',
  'resize',
  'kill',
  'send',
  'sendEnd',
] as const;
const streams = ['read', 'download', 'output', 'upload', 'watch', 'connect', 'buildImage'] as const;

export type SandboxMethod =
  | (typeof commands)[number]
  | (typeof streamedCommands)[number]
  | (typeof questions)[number]
  | (typeof changes)[number]
  | (typeof streams)[number];

type Kind = Pick<MethodManifest, 'generator' | 'concurrent' | 'idempotent'>;

const entries = (names: readonly SandboxMethod[], kind: Kind): [SandboxMethod, MethodManifest][] =>
  names.map((name) => [name, { name, ...kind, parameters: [], tags: [], metadata: {} }]);

/** By name; the same for every sandbox, whatever its manifest says. */
export const sandboxMethods: ReadonlyMap<string, MethodManifest> = new Map<string, MethodManifest>([
  ...entries(commands, { generator: false, concurrent: false, idempotent: false }),
  ...entries(streamedCommands, { generator: true, concurrent: false, idempotent: false }),
  ...entries(questions, { generator: false, concurrent: true, idempotent: true }),
  ...entries(changes, { generator: false, concurrent: true, idempotent: false }),
  ...entries(streams, { generator: true, concurrent: true, idempotent: false }),
]);

const endless: ReadonlySet<string> = new Set<SandboxMethod>([...streams, 'wait']);

/** True for a call that ends when something in the session does, maybe never: a close does not wait for it. */
export function isEndless({ name }: Pick<MethodManifest, 'name'>): boolean {
  return endless.has(name);
}

/** Readers that a session admits at once, beside its commands. */
export const sandboxLaneWidth = 4_096;

/** One command, as it travels to a session. */
export interface CommandSpec {
  readonly argv: readonly string[];
  /** Absent: the session's. */
  readonly cwd?: string;
  /** On top of the session's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** All of it; or `open`: it comes in pieces. Absent: closed. */
  readonly stdin?: Uint8Array | 'open';
  /** Of each stream. */
  readonly maxOutputBytes?: number;
  readonly pty?: { readonly cols: number; readonly rows: number };
}

/** How a command went. */
export interface CommandAnswer {
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly truncated: boolean;
  readonly durationMs: number;
}

/** One value of `execStream` and `output`. */
export type CommandEvent =
  | { readonly type: 'start'; readonly pid: number }
  | { readonly type: 'stdout' | 'stderr'; readonly bytes: Uint8Array; readonly offset: number }
  | {
      readonly type: 'exit';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly timedOut: boolean;
      readonly durationMs: number;
    };

/** Answer of `describe`. */
export interface SessionView {
  readonly cwd: string;
  readonly processes: readonly {
    readonly pid: number;
    readonly command: readonly string[];
    readonly startedAtMs: number;
  }[];
  readonly memoryBytes: number;
  readonly files: FilesTaken | null;
  readonly tags: readonly string[];
}

/** Answer of `snapshot`. */
export interface SnapshotAnswer {
  /** Id of the image. */
  readonly image: string;
  /** Makes a session that goes on where this one was. */
  readonly fork: SessionArguments;
}

/** Answer of `stat`. */
export interface FileView {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  readonly size: number;
  readonly mode: number;
  readonly modifiedAtMs: number;
}

export const defaultMaxOutputBytes = 16_777_216;

/** First value of `upload`. */
export interface UploadStart {
  /** For `uploadPiece` and `uploadEnd`. */
  readonly id: number;
  /** Absolute. */
  readonly path: string;
  /** For a stream of bytes in place of pieces: the file is written when its end has been answered. Null: no such way. */
  readonly ticket: string | null;
}

/** First value of `download`. */
export interface DownloadStart {
  /** The file's beginning. */
  readonly bytes: Uint8Array;
  /** For a stream of the rest. Null: that was all of it. */
  readonly ticket: string | null;
}
