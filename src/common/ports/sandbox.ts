import type { Duplex, Readable, Writable } from 'node:stream';
import type { ContainerExit } from './container.js';

/**
 * Runs programs that are not trusted: own namespaces, no capabilities, a seccomp filter, an own root, no network, own limits.
 * The programs are guest agents of sandboxes, and Node for class containers with `isolation`.
 */
export interface IsolationBackend {
  readonly kind: 'bubblewrap' | 'gvisor';
  /**
   * Whether this host can isolate, tried with a real process; some 100 milliseconds, so once at the start of a worker.
   * @throws SandboxUnavailable, naming what is missing and the command that installs it
   */
  check(): Promise<void>;
  /** A private writable layer on disk, bounded by `diskGb`. @throws Unavailable, InvalidArgument */
  createScratch(options: ScratchOptions): Promise<Scratch>;
  /**
   * Resolves when the process has been started inside and the watchdog guards it; what it says comes on its socket.
   * One process at a time for each scratch. Nothing of it is left where this rejects; the scratch stays.
   * @throws SandboxUnavailable, Unavailable, InvalidArgument
   */
  start(spec: IsolatedSpec): Promise<IsolatedProcess>;
  /**
   * Takes a copy of a scratch, while a process that uses it stands still, and starts to write what it holds as a tar to
   * `output`. `layer`: what was changed above its layers, with what was deleted of them; `flat`: all of it.
   * @throws NoCapacity where the disk is full, Unavailable, InvalidArgument
   */
  pack(scratch: Scratch, what: 'layer' | 'flat'): Promise<LayerTool>;
  /** Starts to make a layer, in a folder that it makes, of the tar that is written to `input`. @throws Unavailable */
  unpack(folder: string): Promise<LayerTool>;
  /** Removes what it keeps on the host for itself, and every scratch; after the last process. */
  close(): Promise<void>;
}

/** A program of the host that works on files that a sandbox wrote, behind the same walls. */
export interface LayerTool {
  /** The tar, where it is unpacked. */
  readonly input: Writable;
  /** The tar, where it is packed; to be read to its end. */
  readonly output: Readable;
  /** Resolves when its work is done and nothing of it is left. @throws NoCapacity where a disk is full, Unavailable with what it said */
  readonly done: Promise<void>;
  kill(): void;
}

export interface ScratchOptions {
  /** Unique on the host, of `[A-Za-z0-9_-]`, up to 64 characters. */
  readonly id: string;
  readonly root: IsolatedRoot;
  readonly diskGb: number;
  /**
   * Starts as a copy of another scratch, or of a file that `save` made; of the same root then, and its `diskGb` is kept. A
   * process that uses it stands still meanwhile.
   */
  readonly from?: Scratch | string;
  /** Told once, when it was removed. */
  readonly onRemoved?: () => void;
}

/**
 * What a sandbox writes: everything but its binds. A file system in a sparse file of the host: the host never looks into it.
 * It outlives the processes of a session that sleeps, and goes with its worker.
 */
export interface Scratch {
  readonly id: string;
  /** Of the host's user that its programs are. */
  readonly uid: number;
  readonly root: IsolatedRoot;
  /** On the host's disk, now. */
  usedBytes(): Promise<number>;
  /** A copy as a sparse file that `from` takes; a process that uses it stands still meanwhile. @throws AlreadyExists, Unavailable */
  save(path: string): Promise<void>;
  /** Idempotent; only after the process that used it was removed. */
  remove(): Promise<void>;
}

export interface IsolatedSpec {
  /** Of the container; unique on the host, of `[A-Za-z0-9_-]`, up to 64 characters. */
  readonly id: string;
  /** The program and its arguments, by paths of the inside. */
  readonly argv: readonly [string, ...string[]];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Default `/`. */
  readonly cwd?: string;
  /**
   * Inside it is root, may write whatever it sees, and is told that owners, users and devices are as it wants them, though
   * nothing of that is so: packages can be installed then. Default false.
   */
  readonly isBuilder?: boolean;
  /** It is PID 1 itself and reaps; else it gets one. Default false. */
  readonly isPid1?: boolean;
  /** All of those together get little of a processor that the worker or another container wants. Default false. */
  readonly yields?: boolean;
  readonly scratch: Scratch;
  readonly binds?: readonly IsolatedBind[];
  readonly limits: IsolationLimits;
}

/**
 * `host`: the host's /usr, /bin, /lib* read-only, an own small /etc, all else private and writable; with `layers`, that rest
 * is what `unpack` made of these folders, the first on top, below a private writable layer.
 * `image`: what `unpack` made of these folders, the first on top, below a private writable layer.
 * `bare`: programs of the host, read-only, and at `/target` an empty folder, which is what the scratch holds.
 */
export type IsolatedRoot =
  | { readonly kind: 'host'; readonly layers?: readonly string[] }
  | { readonly kind: 'image'; readonly layers: readonly string[] }
  | { readonly kind: 'bare'; readonly layers?: never };

/** A file or folder of the host that is seen inside. */
export interface IsolatedBind {
  readonly source: string;
  /** Absolute; made where it is missing. */
  readonly target: string;
  /** Default false. */
  readonly writable?: boolean;
  /** A socket of the host, which programs inside may connect to. Default false. */
  readonly isSocket?: boolean;
}

export interface IsolationLimits {
  readonly memoryMb: number;
  /** Cores. */
  readonly cpu: number;
  /** Processes and threads together. */
  readonly pids: number;
}

/** Files on a disk, directories included. */
export interface FilesTaken {
  readonly count: number;
  readonly bytes: number;
}

export interface IsolatedProcess {
  readonly id: string;
  /** On the host, of the outermost process; for the watchdog and for logs, not to be signalled. */
  readonly pid: number;
  /** The program's file descriptor 3. */
  readonly socket: Duplex;
  readonly exited: Promise<ContainerExit>;
  /** The last lines of its stderr, for the error of one that does not come up. */
  readonly lastWords: string;
  /** Lines of stdout and stderr, from the moment of the call. */
  onOutput(listener: (line: { readonly stream: 'stdout' | 'stderr'; readonly text: string }) => void): void;
  /** @throws OutOfMemory where it takes more than that already, Unavailable */
  limit(limits: IsolationLimits): void;
  /** Of all its processes, now. */
  memoryBytes(): number;
  /** What its own files take, now; null: it has just ended. */
  files(): Promise<FilesTaken | null>;
  /**
   * Processes of it that the kernel killed for want of memory. With cgroups v1 it kills one and the rest goes on: whoever sees
   * a process inside end with SIGKILL asks this, and kills the rest.
   */
  outOfMemoryKills(): number;
  /** SIGKILL of all its processes; `exited` follows. */
  kill(): void;
  /** Kills it, waits for its end, reaps mounts and cgroup. Idempotent. The scratch stays. */
  remove(): Promise<void>;
}
