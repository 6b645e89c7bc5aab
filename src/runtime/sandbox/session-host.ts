import { currentCallContext } from '../../common/context.js';
import type { Detached } from '../../common/detached.js';
import type { BuildEvent } from '../../common/image-build.js';
import type {
  CommandAnswer,
  CommandEvent,
  FileView,
  SandboxMethod,
  SessionView,
  SnapshotAnswer,
} from '../../common/sandbox-methods.js';
import { checkSessionArguments, type SessionArguments } from '../../common/session-options.js';
import { checkedPath, checkedSize } from './call-checks.js';
import { Commands } from './commands.js';
import { buildImage } from './session-build.js';
import { SessionConnections } from './session-connections.js';
import { SessionEnvironment } from './session-environment.js';
import { SessionFiles } from './session-files.js';
import type { SessionParts } from './session-parts.js';

type Args = readonly unknown[];

/**
 * The class behind every sandbox: what a client calls on a session runs here, in the worker's process, and drives the inside of
 * one sandbox. It has an instance as any class has; its methods are those of `sandboxMethods`.
 */
export class SessionHost implements Record<SandboxMethod, (...args: never[]) => unknown> {
  readonly #parts: SessionParts;
  readonly #options: SessionArguments;
  readonly #environment: SessionEnvironment;
  readonly #commands: Commands;
  readonly #files: SessionFiles;
  readonly #connections: SessionConnections;

  /** @param options of the session, as its first caller gave them. @throws InvalidArgument */
  constructor(parts: SessionParts, options: unknown) {
    this.#parts = parts;
    this.#options = checkSessionArguments(parts.label, options);
    this.#environment = new SessionEnvironment(parts.guest);
    this.#commands = new Commands(parts, this.#environment);
    this.#files = new SessionFiles(parts, this.#environment);
    this.#connections = new SessionConnections(parts.guest);
  }

  /** Hook. */
  async enter(): Promise<void> {
    const { guest, box, baseEnv, resumed } = this.#parts;
    const { cwd = box.settings.workdir ?? '/', env = {}, network = { outbound: 'none' }, fork } = this.#options;
    const way = await box.openNetwork(network);
    const base = { ...baseEnv, ...way };
    if (resumed !== null) return this.#environment.begin(base, resumed);
    this.#environment.begin(base, { cwd: '/', env, unsetEnv: fork?.unsetEnv ?? [] });
    if (cwd === '/') return;
    await guest.mkdir(this.#environment.absolute(checkedPath(cwd)), { parents: true, existOk: true });
    await this.#environment.chdir(cwd);
  }

  /** Hook: its files stay, except at its end. */
  exit(reason: 'close' | 'idle' | 'drain' | 'redeploy'): void {
    if (reason !== 'close') this.#parts.box.keep(this.#environment.memory);
  }

  pwd(): string {
    return this.#environment.cwd;
  }

  chdir(path: unknown): Promise<string> {
    return this.#environment.chdir(path);
  }

  getEnv(): Readonly<Record<string, string>> {
    return this.#environment.env;
  }

  updateEnv(values: unknown): Readonly<Record<string, string>> {
    return this.#environment.update(values);
  }

  unsetEnv(names: unknown): Readonly<Record<string, string>> {
    return this.#environment.unset(names);
  }

  exec(spec: unknown): Promise<CommandAnswer> {
    return this.#commands.exec(spec);
  }

  execStream(spec: unknown): AsyncGenerator<CommandEvent, void, undefined> {
    return this.#commands.execStream(spec);
  }

  spawn(spec: unknown): Promise<Detached> {
    return this.#commands.spawn(spec);
  }

  findProcess(pid: unknown): { readonly argv: readonly string[] } {
    return this.#commands.findProcess(pid);
  }

  output(pid: unknown, fromOffset: unknown): AsyncGenerator<CommandEvent, void, undefined> {
    return this.#commands.output(pid, fromOffset);
  }

  wait(pid: unknown): Promise<CommandAnswer> {
    return this.#commands.wait(pid);
  }

  stdin(pid: unknown, bytes: unknown): Promise<void> {
    return this.#commands.stdin(pid, bytes);
  }

  closeStdin(pid: unknown): void {
    this.#commands.closeStdin(pid);
  }

  resize(pid: unknown, cols: unknown, rows: unknown): void {
    const size = checkedSize(cols, rows);
    this.#commands.resize(pid, size.cols, size.rows);
  }

  kill(pid: unknown, signal: unknown): Promise<void> {
    return this.#commands.kill(pid, signal as NodeJS.Signals);
  }

  exists(path: unknown): Promise<boolean> {
    return this.#files.exists(path);
  }

  stat(path: unknown): Promise<FileView> {
    return this.#files.stat(path);
  }

  list(path: unknown): Promise<string[]> {
    return this.#files.list(path);
  }

  mkdir(...args: Args): Promise<string> {
    return this.#files.mkdir(args[0], args[1]);
  }

  read(path: unknown): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#files.read(path);
  }

  download(path: unknown): AsyncGenerator<unknown, void, undefined> {
    return this.#files.download(path);
  }

  write(...args: Args): Promise<string> {
    return this.#files.write(args[0], args[1], args[2]);
  }

  upload(...args: Args): AsyncGenerator<unknown, void, undefined> {
    return this.#files.upload(args[0], args[1]);
  }

  uploadPiece(id: unknown, bytes: unknown): Promise<void> {
    return this.#files.uploadPiece(id, bytes);
  }

  uploadEnd(id: unknown): Promise<void> {
    return this.#files.uploadEnd(id);
  }

  remove(...args: Args): Promise<void> {
    return this.#files.remove(args[0], args[1]);
  }

  rename(from: unknown, to: unknown): Promise<void> {
    return this.#files.rename(from, to);
  }

  watch(...args: Args): AsyncGenerator<unknown, void, undefined> {
    return this.#files.watch(args[0], args[1]);
  }

  connect(port: unknown): AsyncGenerator<unknown, void, undefined> {
    return this.#connections.connect(port);
  }

  send(id: unknown, bytes: unknown): Promise<void> {
    return this.#connections.send(id, bytes);
  }

  sendEnd(id: unknown): void {
    this.#connections.sendEnd(id);
  }

  async snapshot(): Promise<SnapshotAnswer> {
    const { cwd, env, unsetEnv } = this.#environment.memory;
    const image = await this.#parts.box.snapshot(currentCallContext().signal);
    return { image, fork: { ...this.#options, cwd, env, fork: { image, unsetEnv } } };
  }

  /** As long as it is read. */
  buildImage(recipe: unknown): AsyncGenerator<BuildEvent, void, undefined> {
    return buildImage(this.#parts, recipe, currentCallContext().signal);
  }

  async describe(): Promise<SessionView> {
    const [processes, files] = await Promise.all([this.#parts.guest.processes(), this.#parts.box.files()]);
    return {
      cwd: this.#environment.cwd,
      processes: processes.map(({ pid, argv, startedAtMs }) => ({ pid, command: argv, startedAtMs })),
      memoryBytes: this.#parts.box.memoryBytes(),
      files,
      tags: this.#options.tags ?? [],
    };
  }
}
