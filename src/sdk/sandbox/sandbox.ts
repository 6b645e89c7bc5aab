import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { checkSessionOptions, type SessionArguments, type SessionOptions } from '../../common/session-options.js';
import { mountsTogether } from '../../common/volume-mounts.js';
import type { InstanceView } from '../../wire/gen/holdfast/v1/router.js';
import { type CallLimits, Limits, limitChecks, limitsApart } from '../calls/call-limits.js';
import { checkInstanceId } from '../calls/call-options.js';
import { closeByHandle, closeByName, closeInstance, inspectInstance } from '../calls/instance-requests.js';
import type { InstanceTarget } from '../calls/instance-target.js';
import { type ClassOrigin, ClassSource, type Declared } from '../classes/class-source.js';
import { resourceOf } from '../classes/deployments.js';
import { type CallChoice, chosen } from '../client-choice.js';
import { readHandle } from '../handle-input.js';
import type { CloseOptions, CloseResult } from '../infos.js';
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
  static async fromName(appName: string, sandboxName: string, options: CallChoice = {}): Promise<Sandbox> {
    const { client, limits } = chosen(`the look-up of ${appName}/${sandboxName}`, options);
    const deployment = await client.deployments.current(appName, limits);
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

  /**
   * A fresh session with an id of its own. One with volumes is there with its files, or not at all.
   *
   * @throws SandboxUnavailable where no worker can isolate it, NotFound and VolumeUnavailable for its volumes
   */
  async create(options: SessionOptions & CallLimits = {}): Promise<SandboxSession> {
    const { args, limits } = this.#given('create', options);
    const target = await this.#place('', args, limits);
    const session = this.#session(target, true);
    const { volumes = [] } = this.#source.manifest.options;
    const hasVolumes = volumes.length > 0 || options.volumes !== undefined;
    if (hasVolumes) await this.#source.orClosed(target, session.pwd(limits?.rest ?? {}));
    return session;
  }

  /** The session of that name, made at first use. Without options it joins whatever is there; with others than its first: `InstanceConflict`. */
  async named(sandboxId: string, options: SessionOptions & CallLimits = {}): Promise<SandboxSession> {
    checkInstanceId(sandboxId);
    const { args, limits } = this.#given(`named '${sandboxId}'`, options);
    return this.#session(await this.#place(sandboxId, args, limits), false);
  }

  /** On this machine, with the same isolation and no cluster. @throws SandboxUnavailable, saying what to install */
  async local(options: SessionOptions & CallLimits = {}): Promise<SandboxSession> {
    const { rest, limits } = limitsApart(options);
    return await this.#local(checkSessionOptions(this.#what, rest), limits);
  }

  /** The session of a serialized handle. @throws InstanceGone, InstanceLost, PermissionDenied, InvalidArgument */
  async attach(handle: SandboxHandle | string, options: CallLimits = {}): Promise<SandboxSession> {
    const op = { $case: 'attach', value: { handle: this.#own(handle) } } as const;
    return this.#session(await this.#source.client.place(op, this.#limits('attach', options)), false);
  }

  /** As it is deployed now. @throws NotFound, Unavailable */
  async inspect(options: CallLimits = {}): Promise<SandboxInfo> {
    const limits = this.#limits('inspect', options);
    const { deployment, manifest } = await this.#source.refresh(limits);
    let liveSessions = 0;
    for await (const { state } of this.#source.list(Number.POSITIVE_INFINITY, limits)) {
      if (state !== 'closed' && state !== 'lost') liveSessions += 1;
    }
    const { concurrentRequests, tasksPerContainer: _one, ...rest } = manifest.options;
    const { name } = manifest;
    const shown = { ...rest, tasksPerContainer: concurrentRequests };
    return { appName: deployment.app, name, deployment: deployment.version, options: shown, liveSessions };
  }

  /** Closes the session of a handle. Idempotent. */
  async closeHandle(handle: SandboxHandle | string, options: CloseOptions = {}): Promise<CloseResult> {
    return await closeByHandle(this.#source.client, this.#own(handle), options);
  }

  /** Closes the session of that name. Idempotent. @throws InstanceConflict for other options than its first */
  async closeNamed(sandboxId: string, options: SessionOptions & CallLimits = {}): Promise<CloseResult> {
    checkInstanceId(sandboxId);
    const { args, limits } = this.#given(`closeNamed '${sandboxId}'`, options);
    const { appName: app, name: className } = this.#source.origin;
    return await closeByName(
      this.#source.client,
      { name: { app, className, id: sandboxId }, args },
      limits?.rest ?? {},
    );
  }

  /** Live sessions, oldest first; with `tags`, those that have all of them. */
  list(
    options: { readonly limit?: number; readonly tags?: readonly string[] } & CallLimits = {},
  ): AsyncIterable<SandboxSessionInfo> {
    checkOptions(`list of sandbox '${this.name}'`, options, listChecks);
    const { signal, timeoutMs } = options;
    const views = () => this.#source.list(Number.POSITIVE_INFINITY, this.#limits('list', { signal, timeoutMs }));
    return listed(views, options);
  }

  get #what(): string {
    return `a session of sandbox '${this.name}'`;
  }

  async #local(args: SessionArguments, limits: CallLimits = {}): Promise<SandboxSession> {
    const { appName, name, local } = this.#source.origin;
    const manifest = local?.manifest ?? this.#source.manifest;
    const open = (other: SessionArguments, own?: CallLimits): Promise<SandboxSession> => this.#local(other, own);
    const init = await openLocalSession({ appName, name, manifest, open }, args, limits);
    return new SandboxSession({ sandbox: this, ...init });
  }

  #place(id: string, args: GivenArguments, limits: Limits | undefined): Promise<InstanceTarget> {
    return this.#source.create(id, args, { tags: args[0]?.tags ?? [], limits });
  }

  #given(
    what: string,
    options: SessionOptions & CallLimits,
  ): { readonly args: GivenArguments; readonly limits: Limits | undefined } {
    const { rest, limits } = limitsApart(options);
    return { args: this.#arguments(rest), limits: this.#limits(what, limits) };
  }

  #limits(what: string, options: CallLimits): Limits | undefined {
    const where = `${what} of sandbox '${this.name}'`;
    checkOptions(where, options, limitChecks);
    return Limits.of(this.#source.client.clock, where, options);
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
      inspect: async (options: CallLimits) => sessionInfo(await inspectInstance(held, options)),
      close: (options: CloseOptions) => closeInstance(held, options),
      open: async (args: SessionArguments, limits: CallLimits = {}) =>
        this.#session(await this.#place('', [args], this.#limits('fork', limits)), true),
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

const listChecks = {
  ...limitChecks,
  limit: expected.integer(0, Number.MAX_SAFE_INTEGER),
  tags: expected.tags,
} as const;

async function* listed(
  views: () => AsyncIterable<InstanceView>,
  { limit = Number.POSITIVE_INFINITY, tags = [] }: { readonly limit?: number; readonly tags?: readonly string[] },
): AsyncGenerator<SandboxSessionInfo, void, undefined> {
  let left = limit;
  if (left === 0) return;
  for await (const view of views()) {
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
