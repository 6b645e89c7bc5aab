import { inspect } from 'node:util';
import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import type { FileView, SnapshotAnswer } from '../../common/sandbox-methods.js';
import { checkVariableName, envText, type SessionArguments } from '../../common/session-options.js';
import { Image } from '../images/image.js';
import type { CloseOptions, CloseResult } from '../infos.js';
import * as commands from './commands.js';
import * as files from './files.js';
import { type ForkOptions, fork } from './fork.js';
import { type Forwarding, forward } from './forward.js';
import type { Sandbox } from './sandbox.js';
import { SandboxProcess } from './sandbox-process.js';
import type { SessionCalls } from './session-calls.js';
import type {
  Bytes,
  ExecOptions,
  FileChange,
  FileStat,
  SandboxExecResult,
  SandboxHandle,
  SandboxSessionInfo,
  SandboxStreamEvent,
  SpawnOptions,
} from './types.js';

/** What a session is beside its calls: on a worker or in this process. */
export interface SessionControls {
  readonly local: boolean;
  readonly closed: boolean;
  readonly handle: SandboxHandle;
  /** Made by this program alone: disposing closes it. */
  readonly isOwned: boolean;
  inspect(): Promise<SandboxSessionInfo>;
  close(options: CloseOptions): Promise<CloseResult>;
  /** A fresh session of the same sandbox, where this one is. */
  open(args: SessionArguments): Promise<SandboxSession>;
}

export interface SessionInit {
  readonly sandbox: Sandbox;
  readonly calls: SessionCalls;
  readonly controls: SessionControls;
}

/**
 * A place with files and commands of its own, isolated from everything else. Relative paths start at its working directory.
 * File operations throw `FileNotFound`, `PermissionDenied`, `AlreadyExists`, `NoCapacity` (its disk is full) and
 * `InvalidArgument` ("… is not a directory").
 */
export class SandboxSession {
  readonly sandbox: Sandbox;
  readonly #calls: SessionCalls;
  readonly #controls: SessionControls;

  /** Use `sandbox.create`, `named`, `attach` or `local`. */
  constructor(init: SessionInit) {
    this.sandbox = init.sandbox;
    this.#calls = init.calls;
    this.#controls = init.controls;
  }

  /** In this process, without a cluster. */
  get local(): boolean {
    return this.#controls.local;
  }

  /** True after this client closed it or saw that it is gone. */
  get closed(): boolean {
    return this.#controls.closed;
  }

  get id(): string {
    return this.handle.id;
  }

  /** Plain data, safe to store or send; signed, so that a forged one is refused. */
  get handle(): SandboxHandle {
    return this.#controls.handle;
  }

  get handleJson(): string {
    return JSON.stringify(this.handle);
  }

  get methodNames(): readonly string[] {
    return this.sandbox.methodNames;
  }

  hasMethod(name: string): boolean {
    return this.methodNames.includes(name);
  }

  /** One that sleeps is not woken by this. */
  inspect(): Promise<SandboxSessionInfo> {
    return this.#controls.inspect();
  }

  pwd(): Promise<string> {
    return this.#calls.call('pwd', []);
  }

  /** Later relative paths and commands start here. Returns the absolute path. */
  async chdir(path: string): Promise<string> {
    return await this.#calls.call('chdir', [files.checkedPath(path)]);
  }

  /** Of the commands that start from now on. */
  getEnv(): Promise<Record<string, string>> {
    return this.#calls.call('getEnv', []);
  }

  /** Adds variables; returns all. */
  async updateEnv(values: Readonly<Record<string, unknown>> = {}): Promise<Record<string, string>> {
    return await this.#calls.call('updateEnv', [envText(this.#calls.label, values)]);
  }

  /** The same as `updateEnv`. */
  setEnv(values: Readonly<Record<string, unknown>>): Promise<Record<string, string>> {
    return this.updateEnv(values);
  }

  async unsetEnv(...names: string[]): Promise<Record<string, string>> {
    for (const name of names) checkVariableName(this.#calls.label, name);
    return await this.#calls.call('unsetEnv', [names]);
  }

  /** Links are followed. */
  async exists(path = '.'): Promise<boolean> {
    return await this.#calls.call('exists', [files.checkedPath(path)]);
  }

  /** Names, in order. */
  async listdir(path = '.'): Promise<string[]> {
    return await this.#calls.call('list', [files.checkedPath(path)]);
  }

  /** Defaults: parents true, existOk true. Returns the absolute path. */
  async mkdir(path: string, options: { readonly parents?: boolean; readonly existOk?: boolean } = {}): Promise<string> {
    checkOptions('mkdir', options, { parents: expected.boolean, existOk: expected.boolean });
    const { parents = true, existOk = true } = options;
    return await this.#calls.call('mkdir', [files.checkedPath(path), { parents, existOk }]);
  }

  /** Default encoding: utf-8. @throws PayloadTooLarge above 256 MiB */
  async readText(path: string, options: { readonly encoding?: BufferEncoding } = {}): Promise<string> {
    checkOptions('readText', options, { encoding });
    return (await files.readAll(this.#calls, path)).toString(options.encoding ?? 'utf8');
  }

  /** Returns the absolute path. */
  async writeText(
    path: string,
    content: string,
    options: { readonly encoding?: BufferEncoding; readonly append?: boolean; readonly makeParents?: boolean } = {},
  ): Promise<string> {
    checkOptions('writeText', options, { encoding, ...writing });
    if (typeof content !== 'string') {
      throw new HoldfastError('InvalidArgument', 'writeText takes a string; use writeBytes for bytes');
    }
    return await files.writeAll(this.#calls, { path, content: Buffer.from(content, options.encoding) }, options);
  }

  /** @throws PayloadTooLarge above 256 MiB: `readStream` and `downloadFile` take any size */
  async readBytes(path: string): Promise<Uint8Array> {
    const bytes = await files.readAll(this.#calls, path);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Returns the absolute path. */
  async writeBytes(
    path: string,
    content: Bytes,
    options: { readonly append?: boolean; readonly makeParents?: boolean } = {},
  ): Promise<string> {
    checkOptions('writeBytes', options, writing);
    return await files.writeAll(this.#calls, { path, content }, options);
  }

  /** Streamed: memory stays flat whatever the size. Returns the absolute path in the sandbox. */
  async uploadFile(localPath: string, remotePath: string, options: files.TransferOptions = {}): Promise<string> {
    checkOptions('uploadFile', options, transferring);
    return await files.uploadFile(this.#calls, { localPath, remotePath }, options);
  }

  /** Streamed: memory stays flat whatever the size. Returns the absolute path on this machine. */
  async downloadFile(remotePath: string, localPath: string, options: files.TransferOptions = {}): Promise<string> {
    checkOptions('downloadFile', options, transferring);
    return await files.downloadFile(this.#calls, { remotePath, localPath }, options);
  }

  /**
   * A string with `shell: true` goes to `/bin/sh -c`; without it, it is split like a shell does, and nothing is expanded. A
   * program that is not there throws `FileNotFound`; any exit code is a result.
   */
  exec(command: string | readonly string[], options?: ExecOptions): Promise<SandboxExecResult> {
    return commands.exec(this.#calls, command, options);
  }

  /** The command starts when its events are first read, and is killed when they are no longer. */
  execStream(command: string | readonly string[], options?: ExecOptions): AsyncIterable<SandboxStreamEvent> {
    return commands.execStream(this.#calls, command, options);
  }

  async remove(
    path: string,
    options: { readonly recursive?: boolean; readonly missingOk?: boolean } = {},
  ): Promise<void> {
    checkOptions('remove', options, { recursive: expected.boolean, missingOk: expected.boolean });
    const { recursive = false, missingOk = false } = options;
    await this.#calls.call('remove', [files.checkedPath(path), { recursive, missingOk }]);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#calls.call('rename', [files.checkedPath(from), files.checkedPath(to)]);
  }

  /** Of a link itself, not of what it points to. */
  async stat(path: string): Promise<FileStat> {
    const view = await this.#calls.call<FileView>('stat', [files.checkedPath(path)]);
    const { modifiedAtMs, ...rest } = view;
    return { ...rest, modifiedAt: new Date(modifiedAtMs) };
  }

  /** Changes from the moment in which it is first read. @throws StreamLost where they come faster than they are read */
  watch(
    path: string,
    options: { readonly recursive?: boolean; readonly signal?: AbortSignal } = {},
  ): AsyncIterable<FileChange> {
    const { recursive = false, signal } = options;
    return this.#calls.stream('watch', [files.checkedPath(path), { recursive }], { signal });
  }

  readStream(path: string): ReadableStream<Uint8Array> {
    return files.readStream(this.#calls, path);
  }

  writeStream(path: string, options: { readonly makeParents?: boolean } = {}): WritableStream<Uint8Array> {
    checkOptions('writeStream', options, { makeParents: expected.boolean });
    return files.writeStream(this.#calls, path, options);
  }

  /** A process that outlives its caller: read it again from any offset, by another client too. */
  async spawn(command: string | readonly string[], options?: SpawnOptions): Promise<SandboxProcess> {
    return new SandboxProcess({ calls: this.#calls, ...(await commands.spawn(this.#calls, command, options)) });
  }

  /** One that `spawn` has started. @throws NotFound */
  async process(pid: number): Promise<SandboxProcess> {
    const { argv } = await this.#calls.call<{ argv: readonly string[] }>('findProcess', [pid]);
    return new SandboxProcess({ calls: this.#calls, pid, argv });
  }

  /**
   * The files as they are at one moment, as an image; programs stand still while they are copied. What programs have not written
   * yet is not in it, nor are sockets, variables or processes.
   *
   * @throws NoCapacity where a disk of the worker is full, Unavailable
   */
  async snapshot(): Promise<Image> {
    const { image } = await this.#calls.call<SnapshotAnswer>('snapshot', []);
    return Image.fromId(image);
  }

  /**
   * `count` new sessions with these files, in this directory, with these variables and options, each to be closed by itself.
   * All of them, or none where one cannot be made. @throws NoCapacity, Unavailable
   */
  fork(options?: ForkOptions): Promise<SandboxSession[]> {
    return fork(this.#calls, this.#controls.open, options);
  }

  /** A local port that reaches a port inside. */
  async forward(port: number, options: { readonly localPort?: number } = {}): Promise<Forwarding> {
    return await forward(this.#calls, { port, localPort: options.localPort });
  }

  /** Idempotent. Running commands finish, or are killed with `force`; then nothing of it is left. */
  close(options: CloseOptions = {}): Promise<CloseResult> {
    return this.#controls.close(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#controls.isOwned && !this.closed) await this.close();
  }

  [inspect.custom](): string {
    return `SandboxSession ${this.#calls.label}${this.closed ? ' (closed)' : ''}`;
  }
}

const encoding = (value: unknown): string | null =>
  typeof value === 'string' && Buffer.isEncoding(value) ? null : 'an encoding that Buffer knows';
const writing = { append: expected.boolean, makeParents: expected.boolean } as const;
const transferring = {
  makeParents: expected.boolean,
  onProgress: (value: unknown) => (typeof value === 'function' ? null : 'a function'),
} as const;
