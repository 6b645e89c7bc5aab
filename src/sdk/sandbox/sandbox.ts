import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { checkSessionOptions, type SessionArguments, type SessionOptions } from '../../common/session-options.js';
import { mountsTogether } from '../../common/volume-mounts.js';
import { encodeArgs } from '../../wire/codec.js';
import type { InstanceView } from '../../wire/gen/holdfast/v1/router.js';
import { checkCloseOptions, checkInstanceId } from '../call-options.js';
import { type ClassOrigin, ClassSource, type Declared } from '../class-source.js';
import { chooseClient } from '../client-choice.js';
import { resourceOf } from '../deployments.js';
import { readHandle } from '../handle-input.js';
import type { ClientChoice, CloseOptions, CloseResult } from '../infos.js';
import { closeResult } from '../instance-infos.js';
import { closeInstance, inspectInstance } from '../instance-requests.js';
import type { InstanceTarget } from '../instance-target.js';
import { openLocalSession } from '../local/local-session.js';
import { SandboxSession } from './sandbox-session.js';
import { remoteCalls } from './session-calls.js';
import { sessionInfo } from './session-info.js';
import { sessionMethodNames } from './session-method-names.js';
import type { GivenArguments, SandboxHandle, SandboxInfo, SandboxSessionInfo } from './types.js';

// Only this package makes one.
let construct: (source: ClassSource) => Sandbox;

/** A kind of sessions: what `app.sandbox` declared, and what is deployed of it. */
export class Sandbox {
  readonly #source: ClassSource;

  private constructor(source: ClassSource) {
    this.#source = source;
  }

  /** A sandbox by name, as it is deployed now. @throws NotFound, Unavailable */
  static async fromName(appName: string, sandboxName: string, options: ClientChoice = {}): Promise<Sandbox> {
    const client = chooseClient(options);
    const deployment = await client.deployments.current(appName);
    resourceOf(deployment, 'sandbox', sandboxName);
    return makeSandbox({ appName, name: sandboxName, local: null, deployment, choice: client });
  }

  get name(): string {
    return this.#source.origin.name;
  }

  get appName(): string | null {
    return this.#source.origin.appName;
  }

  /** Of its sessions. */
  get methodNames(): readonly string[] {
    return sessionMethodNames;
  }

  get tags(): readonly string[] {
    return this.#source.manifest.options.tags;
  }

  get metadata(): Readonly<Record<string, unknown>> {
    return this.#source.manifest.options.metadata;
  }

  get signature(): string | null {
    return this.#source.manifest.signature;
  }

  /** A fresh session with an id of its own. @throws SandboxUnavailable where no worker can isolate it */
  async create(options: SessionOptions = {}): Promise<SandboxSession> {
    return this.#session(await this.#place('', this.#arguments(options)), true);
  }

  /** The session of that name, made at first use. Without options it joins whatever is there; with others than its first: `InstanceConflict`. */
  async named(sandboxId: string, options: SessionOptions = {}): Promise<SandboxSession> {
    checkInstanceId(sandboxId);
    return this.#session(await this.#place(sandboxId, this.#arguments(options)), false);
  }

  /** On this machine, with the same isolation and no cluster. @throws SandboxUnavailable, saying what to install */
  async local(options: SessionOptions = {}): Promise<SandboxSession> {
    return await this.#local(checkSessionOptions(this.#what, options));
  }

  /** The session of a serialized handle. @throws InstanceGone, InstanceLost, PermissionDenied, InvalidArgument */
  async attach(handle: SandboxHandle | string): Promise<SandboxSession> {
    const target = await this.#source.client.place({ $case: 'attach', value: { handle: this.#own(handle) } });
    return this.#session(target, false);
  }

  /** As it is deployed now. @throws NotFound, Unavailable */
  async inspect(): Promise<SandboxInfo> {
    const { deployment, manifest } = await this.#source.refresh();
    let liveSessions = 0;
    for await (const { state } of this.#source.list(Number.POSITIVE_INFINITY)) {
      if (state !== 'closed' && state !== 'lost') liveSessions += 1;
    }
    const { concurrentRequests, tasksPerContainer: _one, ...rest } = manifest.options;
    const options = { ...rest, tasksPerContainer: concurrentRequests };
    return { appName: deployment.app, name: manifest.name, deployment: deployment.version, options, liveSessions };
  }

  /** Closes the session of a handle. Idempotent. */
  async closeHandle(handle: SandboxHandle | string, options: CloseOptions = {}): Promise<CloseResult> {
    checkCloseOptions(options);
    const value = { target: { $case: 'handle', value: this.#own(handle) } as const, force: options.force ?? false };
    const own = { remainingMs: options.timeoutMs ?? 0, signal: options.signal };
    return closeResult(await this.#source.client.close({ $case: 'close', value }, own));
  }

  /** Closes the session of that name. Idempotent. @throws InstanceConflict for other options than its first */
  async closeNamed(sandboxId: string, options: SessionOptions = {}): Promise<CloseResult> {
    checkInstanceId(sandboxId);
    const given = this.#arguments(options);
    const { appName: app, name: className } = this.#source.origin;
    const value = {
      target: { $case: 'instance', value: { app, className, id: sandboxId } } as const,
      force: false,
      ...(given.length === 0 ? {} : { args: Buffer.from(encodeArgs(given)) }),
    };
    return closeResult(await this.#source.client.close({ $case: 'close', value }));
  }

  /** Live sessions, oldest first; with `tags`, those that have all of them. */
  list(
    options: { readonly limit?: number; readonly tags?: readonly string[] } = {},
  ): AsyncIterable<SandboxSessionInfo> {
    checkOptions('list', options, { limit: expected.integer(1, Number.MAX_SAFE_INTEGER), tags: expected.tags });
    return listed(this.#source.list(Number.POSITIVE_INFINITY), options);
  }

  get #what(): string {
    return `a session of sandbox '${this.name}'`;
  }

  async #local(args: SessionArguments): Promise<SandboxSession> {
    const { appName, name, local } = this.#source.origin;
    const manifest = local?.manifest ?? this.#source.manifest;
    const open = (other: SessionArguments): Promise<SandboxSession> => this.#local(other);
    const init = await openLocalSession({ appName, name, manifest, open }, args);
    return new SandboxSession({ sandbox: this, ...init });
  }

  #place(id: string, args: GivenArguments): Promise<InstanceTarget> {
    return this.#source.create(id, args, args[0]?.tags ?? []);
  }

  /** Nothing given is nothing to conflict with. */
  #arguments(options: SessionOptions): GivenArguments {
    const given = checkSessionOptions(this.#what, options);
    // Its worker looks again: the sandbox may be another one by then.
    if (given.volumes !== undefined) mountsTogether(this.#source.manifest.options.volumes, given.volumes);
    return Object.keys(given).length === 0 ? [] : [given];
  }

  #session(target: InstanceTarget, isOwned: boolean): SandboxSession {
    const held = { client: this.#source.client, target };
    const controls = {
      local: false,
      isOwned,
      get closed(): boolean {
        return target.gone !== null;
      },
      get handle(): SandboxHandle {
        return target.placement.handle as SandboxHandle;
      },
      inspect: async () => sessionInfo(await inspectInstance(held)),
      close: (options: CloseOptions) => closeInstance(held, options),
      open: async (args: SessionArguments) => this.#session(await this.#place('', [args]), true),
    };
    return new SandboxSession({ sandbox: this, calls: remoteCalls(target), controls });
  }

  #own(input: SandboxHandle | string): SandboxHandle {
    const handle = readHandle(input, 'sandbox');
    if (handle.app === this.appName && handle.name === this.name) return handle as SandboxHandle;
    throw new HoldfastError(
      'InvalidArgument',
      `the handle is of ${handle.app}/${handle.name}, this is ${this.appName}/${this.name}; use Sandbox.fromName`,
    );
  }

  static {
    construct = (source) => new Sandbox(source);
  }
}

async function* listed(
  views: AsyncIterable<InstanceView>,
  { limit = Number.POSITIVE_INFINITY, tags = [] }: { readonly limit?: number; readonly tags?: readonly string[] },
): AsyncGenerator<SandboxSessionInfo, void, undefined> {
  let left = limit;
  for await (const view of views) {
    const info = sessionInfo(view);
    if (!tags.every((tag) => info.tags.includes(tag))) continue;
    yield info;
    left -= 1;
    if (left === 0) return;
  }
}

/** A sandbox from wherever it is known. */
export function makeSandbox(origin: Omit<ClassOrigin<Declared>, 'kind'>): Sandbox {
  return construct(new ClassSource({ ...origin, kind: 'sandbox' }));
}
