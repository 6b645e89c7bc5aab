import type { Duplex } from 'node:stream';
import type { HoldfastError } from '../errors.js';

/**
 * The inside of one sandbox, as its worker drives it: commands, files and loopback connections, all of them run by the
 * agent that is process 1 in there. Nothing of it can be trusted: what it sends is checked and bounded, and a broken one
 * ends its own link only. When the link ends, every promise and iterator of this port rejects at once with the error of
 * `closed`, code `Unavailable`, outcome `unknown`.
 *
 * Paths are absolute. A name that is not UTF-8 is text in which each byte that does not fit is the lone surrogate U+DC00 +
 * byte; as an argument it means the same bytes again. File operations throw `FileNotFound`, `PermissionDenied`,
 * `AlreadyExists`, `InvalidArgument` ("… is not a directory", a name that is too long), `NoCapacity` (the disk is full) and
 * `Unavailable` (too much is open), with the path in message and `details.path`.
 */
export interface Guest {
  /** Runs a program as the leader of a session and process group of its own. @throws FileNotFound (program or cwd), PermissionDenied, InvalidArgument, PayloadTooLarge (argv and environment above 1 MiB) */
  spawn(command: GuestCommand, onOutput: GuestOutputListener): Promise<GuestProcess>;
  /** What runs now, without the agent, by pid. */
  processes(): Promise<GuestProcessInfo[]>;

  stat(path: string, options?: { readonly followLinks?: boolean }): Promise<GuestStat>;
  /** In the order of the bytes of their names, `.` and `..` left out. @throws PayloadTooLarge where they take more than `maxBytes` here, 64 MiB unless said: 64 and its name each */
  list(path: string, options?: { readonly maxBytes?: number; readonly signal?: AbortSignal }): Promise<GuestEntry[]>;
  /** `existOk`: where it is a directory already; default: as `parents`. */
  mkdir(path: string, options?: { readonly parents?: boolean; readonly existOk?: boolean }): Promise<void>;
  /** A file, a link (never what it points to) or an empty directory; with `recursive` whatever is in it. */
  remove(path: string, options?: { readonly recursive?: boolean; readonly signal?: AbortSignal }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Pieces of at most 64 KiB, read ahead by at most 1 MiB; `return()` ends it. Nothing is opened before the first `next`. */
  read(path: string, range?: GuestRange): AsyncIterableIterator<Uint8Array>;
  /** All of it, in one round trip where it is small. @throws PayloadTooLarge above `maxBytes` */
  readFile(path: string, options: { readonly maxBytes: number }): Promise<Uint8Array>;
  /** Opens for writing; what was there is cut off, unless `append`. */
  write(path: string, options?: GuestWriteOptions): Promise<GuestWriter>;
  /** In one round trip where it is small. */
  writeFile(path: string, content: Uint8Array, options?: GuestWriteOptions): Promise<void>;
  /** Without links, `.` and `..`. With `directory` also checks that a command could run there. */
  realpath(path: string, options?: { readonly directory?: boolean }): Promise<string>;
  /** Resolves when every change from then on will be reported; below a directory that has just come a `create` can come twice. @throws StreamLost later, from the iterator, where changes came faster than they were read */
  watch(path: string, options?: { readonly recursive?: boolean }): Promise<AsyncIterableIterator<GuestChange>>;

  /** To a port on loopback inside, half-open on either side where the peer is. @throws Unavailable where nobody listens */
  connect(port: number): Promise<Duplex>;
  /** On loopback inside. @param port 0: any free one */
  listen(port: number, onConnection: (connection: Duplex) => void): Promise<GuestListener>;

  /** Resolves once, when the link has ended, with why. */
  readonly closed: Promise<HoldfastError>;
  /** Ends the link; the agent ends, and with it everything inside. */
  close(): void;
}

export interface GuestCommand {
  /** `argv[0]` is looked up on the PATH of `env`, unless it has a slash. */
  readonly argv: readonly string[];
  readonly cwd: string;
  /** All of it: nothing is inherited from the agent. */
  readonly env: Readonly<Record<string, string>>;
  /** Default false: it reads the end of file at once. A pty always has one. */
  readonly stdin?: boolean;
  /** stdout and stderr are one then, `stdout`. */
  readonly pty?: { readonly cols: number; readonly rows: number };
  /** Bytes of output that may come before the first `acknowledge`. Default 256 KiB. */
  readonly outputCreditBytes?: number;
}

/**
 * Called in the order seen; the first time maybe before `spawn` has resolved.
 * @param bytes a view: copy what is kept
 * @param offset bytes of output, both streams, before this
 */
export type GuestOutputListener = (stream: 'stdout' | 'stderr', bytes: Uint8Array, offset: number) => void;

export interface GuestProcess {
  readonly pid: number;
  /** After the last output. What processes that it left behind print later is dropped. */
  readonly exited: Promise<GuestExit>;
  /** So many bytes of output were dealt with, as many more may come. Without it the command stops when its pipe is full. */
  acknowledge(bytes: number): void;
  /** What it prints there from now on comes to nothing; what is on its way still comes. */
  discard(stream: 'stdout' | 'stderr'): void;
  /** Resolves when more is welcome; the bytes belong to the process from here on. Does nothing where stdin is closed or the process has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** After all that was written. Of a pty: its end-of-file character. */
  closeStdin(): void;
  resize(cols: number, rows: number): void;
  /**
   * To its process group. SIGKILL also reaches whatever it has started, in other groups and sessions too, before or after
   * its exit, and resolves when nothing of that runs any more; others resolve when they are sent. None there: nothing happens.
   */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** One of both is null. */
export interface GuestExit {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export interface GuestProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  /** The pid that `spawn` gave to the command that this process belongs to; null where that cannot be told. */
  readonly commandPid: number | null;
  /** Its first 4 KiB; of a command's own process that shows none, what it was started with. */
  readonly argv: readonly string[];
  /** ms since 1970. */
  readonly startedAtMs: number;
  /** Resident. */
  readonly memoryBytes: number;
}

export type GuestFileType = 'file' | 'directory' | 'symlink' | 'other';

export interface GuestStat {
  readonly type: GuestFileType;
  readonly size: number;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  /** ms since 1970, with fractions. */
  readonly modifiedAtMs: number;
}

export interface GuestEntry {
  readonly name: string;
  readonly type: GuestFileType;
}

export interface GuestRange {
  readonly offset?: number;
  readonly length?: number;
  /** Each piece is good until the next is asked for; its memory is given back then. Default: it stays. */
  readonly isLent?: boolean;
}

export interface GuestWriteOptions {
  readonly append?: boolean;
  /** Makes the directories above it. */
  readonly makeParents?: boolean;
  /** Permission bits of a new file. Default 0o644. */
  readonly mode?: number;
}

export interface GuestWriter {
  /** Resolves when more is welcome; the bytes belong to the writer from here on. @throws what went wrong with an earlier piece too */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when all of it is in the file. */
  end(): Promise<void>;
  /** Stops without an error; what was written stays. Does nothing after `end`. */
  abort(): void;
}

/** `path` is absolute, below the path that is watched or that itself; a `rename` within has where it was in `from`. */
export interface GuestChange {
  readonly type: 'create' | 'modify' | 'delete' | 'rename';
  readonly path: string;
  readonly from?: string;
}

export interface GuestListener {
  readonly port: number;
  /** Open connections stay. */
  close(): void;
}
