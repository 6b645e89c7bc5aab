import { inspect } from 'node:util';
import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { type Check, expected } from '../../common/option-checks.js';
import type { FileView, SnapshotAnswer } from '../../common/sandbox-methods.js';
import { checkVariableName, envText } from '../../common/session-options.js';
import { type CallLimits, during, Limits, limitChecks } from '../calls/call-limits.js';
import { Image } from '../images/image.js';
import type { CloseOptions, CloseResult } from '../infos.js';
import * as commands from './commands.js';
import * as files from './files.js';
import { type ForkOptions, fork } from './fork.js';
import { type Forwarding, Forwardings } from './forward.js';
import type { Sandbox } from './sandbox.js';
import { checkedPid, SandboxProcess } from './sandbox-process.js';
import { type SessionCalls, within } from './session-calls.js';
import type { SessionControls, SessionInit } from './session-controls.js';
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

type Checks = Readonly<Record<string, Check>>;

/**
 * A place with files and commands of its own, isolated from everything else. Relative paths start at its working directory.
 * File operations throw `FileNotFound`, `PermissionDenied`, `AlreadyExists`, `NoCapacity` (its disk is full) and
 * `InvalidArgument` ("… is not a directory").
 */
export class SandboxSession {
  readonly sandbox: Sandbox;
  readonly #calls: SessionCalls;
  readonly #controls: SessionControls;
  readonly #forwardings = new Forwardings();

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
  async inspect(options: CallLimits = {}): Promise<SandboxSessionInfo> {
    checkOptions('inspect', options, limitChecks);
    return await this.#controls.inspect(options);
  }

  async pwd(options: CallLimits = {}): Promise<string> {
    return await this.#in('pwd', options).call('pwd', []);
  }

  /** Later relative paths and commands start here. Returns the absolute path. */
  async chdir(path: string, options: CallLimits = {}): Promise<string> {
    return await this.#in('chdir', options).call('chdir', [files.checkedPath(path)]);
  }

  /** Of the commands that start from now on. */
  async getEnv(options: CallLimits = {}): Promise<Record<string, string>> {
    return await this.#in('getEnv', options).call('getEnv', []);
  }

  /** Adds variables; returns all. */
  async updateEnv(
    values: Readonly<Record<string, unknown>> = {},
    options: CallLimits = {},
  ): Promise<Record<string, string>> {
    return await this.#in('updateEnv', options).call('updateEnv', [envText(this.#calls.label, values)]);
  }

  /** The same as `updateEnv`. */
  setEnv(values: Readonly<Record<string, unknown>>, options: CallLimits = {}): Promise<Record<string, string>> {
    return this.updateEnv(values, options);
  }

  async unsetEnv(...names: string[]): Promise<Record<string, string>> {
    for (const name of names) checkVariableName(this.#calls.label, name);
    return await this.#calls.call('unsetEnv', [names]);
  }

  /** Links are followed. */
  async exists(path = '.', options: CallLimits = {}): Promise<boolean> {
    return await this.#in('exists', options).call('exists', [files.checkedPath(path)]);
  }

  /** Names, in order. */
  async listdir(path = '.', options: CallLimits = {}): Promise<string[]> {
    return await this.#in('listdir', options).call('list', [files.checkedPath(path)]);
  }

  /** Defaults: parents true, existOk true. Returns the absolute path. */
  async mkdir(
    path: string,
    options: { readonly parents?: boolean; readonly existOk?: boolean } & CallLimits = {},
  ): Promise<string> {
    const calls = this.#in('mkdir', options, { parents: expected.boolean, existOk: expected.boolean });
    const { parents = true, existOk = true } = options;
    return await calls.call('mkdir', [files.checkedPath(path), { parents, existOk }]);
  }

  /** Default encoding: utf-8. @throws PayloadTooLarge above 256 MiB */
  async readText(path: string, options: { readonly encoding?: BufferEncoding } & CallLimits = {}): Promise<string> {
    const calls = this.#in('readText', options, { encoding: files.encoding });
    return (await files.readAll(calls, path)).toString(options.encoding ?? 'utf8');
  }

  /** Returns the absolute path. */
  async writeText(
    path: string,
    content: string,
    options: { readonly encoding?: BufferEncoding } & files.WriteOptions = {},
  ): Promise<string> {
    const calls = this.#in('writeText', options, { encoding: files.encoding, ...files.writing });
    if (typeof content !== 'string') {
      throw new HoldfastError('InvalidArgument', 'writeText takes a string; use writeBytes for bytes');
    }
    return await files.writeAll(calls, { path, content: Buffer.from(content, options.encoding) }, options);
  }

  /** @throws PayloadTooLarge above 256 MiB: `readStream` and `downloadFile` take any size */
  async readBytes(path: string, options: CallLimits = {}): Promise<Uint8Array> {
    const bytes = await files.readAll(this.#in('readBytes', options), path);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Returns the absolute path. */
  async writeBytes(path: string, content: Bytes, options: files.WriteOptions = {}): Promise<string> {
    return await files.writeAll(this.#in('writeBytes', options, files.writing), { path, content }, options);
  }

  /** Streamed: memory stays flat whatever the size. Returns the absolute path in the sandbox. */
  async uploadFile(localPath: string, remotePath: string, options: files.TransferOptions = {}): Promise<string> {
    const calls = this.#in('uploadFile', options, files.transferring);
    return await files.uploadFile(calls, { localPath, remotePath }, options);
  }

  /** Streamed: memory stays flat whatever the size. Returns the absolute path on this machine. */
  async downloadFile(remotePath: string, localPath: string, options: files.TransferOptions = {}): Promise<string> {
    const calls = this.#in('downloadFile', options, files.transferring);
    return await files.downloadFile(calls, { remotePath, localPath }, options);
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
    options: { readonly recursive?: boolean; readonly missingOk?: boolean } & CallLimits = {},
  ): Promise<void> {
    const calls = this.#in('remove', options, { recursive: expected.boolean, missingOk: expected.boolean });
    const { recursive = false, missingOk = false } = options;
    await calls.call('remove', [files.checkedPath(path), { recursive, missingOk }]);
  }

  async rename(from: string, to: string, options: CallLimits = {}): Promise<void> {
    await this.#in('rename', options).call('rename', [files.checkedPath(from), files.checkedPath(to)]);
  }

  /** Of a link itself, not of what it points to. */
  async stat(path: string, options: CallLimits = {}): Promise<FileStat> {
    const view = await this.#in('stat', options).call<FileView>('stat', [files.checkedPath(path)]);
    const { modifiedAtMs, ...rest } = view;
    return { ...rest, modifiedAt: new Date(modifiedAtMs) };
  }

  /** Changes from the moment in which it is first read. @throws StreamLost where they come faster than they are read */
  watch(path: string, options: { readonly recursive?: boolean } & CallLimits = {}): AsyncIterable<FileChange> {
    checkOptions('watch', options, { ...limitChecks, recursive: expected.boolean });
    const { recursive = false, signal, timeoutMs } = options;
    return this.#calls.stream('watch', [files.checkedPath(path), { recursive }], { signal, timeoutMs });
  }

  /** The limits are those of all of its reading. */
  readStream(path: string, options: CallLimits = {}): ReadableStream<Uint8Array> {
    return files.readStream(this.#in('readStream', options), path);
  }

  /** The limits are those of all of its writing. */
  writeStream(path: string, options: { readonly makeParents?: boolean } & CallLimits = {}): WritableStream<Uint8Array> {
    return files.writeStream(this.#in('writeStream', options, { makeParents: expected.boolean }), path, options);
  }

  /** A process that outlives its caller: read it again from any offset, by another client too. */
  async spawn(command: string | readonly string[], options?: SpawnOptions): Promise<SandboxProcess> {
    return new SandboxProcess({ calls: this.#calls, ...(await commands.spawn(this.#calls, command, options)) });
  }

  /** One that `spawn` has started. @throws NotFound */
  async process(pid: number, options: CallLimits = {}): Promise<SandboxProcess> {
    const calls = this.#in('process', options);
    const { argv } = await calls.call<{ argv: readonly string[] }>('findProcess', [checkedPid(pid)]);
    return new SandboxProcess({ calls: this.#calls, pid, argv });
  }

  /**
   * The files as they are at one moment, as an image; programs stand still while they are copied. What programs have not written
   * yet is not in it, nor are sockets, variables or processes.
   *
   * @throws NoCapacity where a disk of the worker is full, Unavailable
   */
  async snapshot(options: CallLimits = {}): Promise<Image> {
    const { image } = await this.#in('snapshot', options).call<SnapshotAnswer>('snapshot', []);
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
  async forward(port: number, options: { readonly localPort?: number } & CallLimits = {}): Promise<Forwarding> {
    const limits = this.#limits('forward', options, { localPort: expected.integer(0, 65_535) });
    const opening = this.#forwardings.open(this.#calls, { port, localPort: options.localPort });
    try {
      return await during(limits, opening);
    } catch (e) {
      // One that opens all the same has no caller any more.
      void opening.then(({ close }) => close()).catch(() => undefined);
      throw e;
    }
  }

  /** Idempotent. Running commands finish, or are killed with `force`; then nothing of it is left. */
  async close(options: CloseOptions = {}): Promise<CloseResult> {
    const result = await this.#controls.close(options);
    await this.#forwardings.close();
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#controls.isOwned && !this.closed) await this.close();
  }

  /** The way to it for one call. @throws InvalidArgument, Cancelled */
  #in(method: string, options: CallLimits, checks: Checks = {}): SessionCalls {
    return within(this.#limits(method, options, checks), this.#calls);
  }

  #limits(method: string, options: CallLimits, checks: Checks): Limits | undefined {
    checkOptions(method, options, { ...limitChecks, ...checks });
    return Limits.of(this.#calls.clock, `${method} of ${this.#calls.label}`, options);
  }

  [inspect.custom](): string {
    return `SandboxSession ${this.#calls.label}${this.closed ? ' (closed)' : ''}`;
  }
}
