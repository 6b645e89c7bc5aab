import { cwd } from 'node:process';
import type { LocalSandboxOptions } from '../../cli/parts/local-sandbox.js';
import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import type { ImageRecipe } from '../../common/image-recipe.js';
import type { ClassManifest } from '../../common/manifest.js';
import { sandboxMethods } from '../../common/sandbox-methods.js';
import type { SessionArguments } from '../../common/session-options.js';
import { mountsTogether } from '../../common/volume-mounts.js';
import { decodeArgs, encodeArgs } from '../../wire/codec/codec.js';
import { type CallLimits, during, Limits, limitChecks } from '../calls/call-limits.js';
import { checkCloseOptions } from '../calls/call-options.js';
import type { MethodPlan } from '../calls/method-plan.js';
import { systemParts } from '../default-client.js';
import { localAccount } from '../handle-input.js';
import { type PortableRecipe, withLocalFiles } from '../images/local-files.js';
import type { CloseOptions, CloseResult } from '../infos.js';
import { type AskOptions, callOptionsOf, type SessionCalls, sandboxPlans } from '../sandbox/session-calls.js';
import type { SessionControls, SessionInit } from '../sandbox/session-controls.js';
import type { SandboxHandle, SandboxSessionInfo } from '../sandbox/types.js';
import { KeepAlive } from '../sessions/keep-alive.js';
import { consoleLogger } from './console-logger.js';
import { LocalHost } from './local-host.js';
import { invokeLocally, streamLocally } from './local-invoke.js';
import { type LocalBox, LocalLife } from './local-life.js';
import { localVariables } from './local-resources.js';
import { unlessStopped } from './unless-stopped.js';

const keepAlive = new KeepAlive();
/** The session limits its commands itself, and keeps what they have printed. */
const noLimitMs = 2_147_483_647;

/** A sandbox, as a session of this process needs it. */
export interface LocalOrigin {
  readonly appName: string;
  readonly name: string;
  readonly manifest: ClassManifest;
  /** Makes another session of it. */
  readonly open: SessionControls['open'];
}

/** A session in this process, in a sandbox of this machine. @throws SandboxUnavailable, ActivationFailed, NotFound (its image) */
export async function openLocalSession(
  { manifest, appName, name, open }: LocalOrigin,
  given: SessionArguments,
  limited: CallLimits = {},
): Promise<Omit<SessionInit, 'sandbox'>> {
  const { options } = manifest;
  const what = `a session of sandbox '${name}'`;
  checkOptions(what, limited, limitChecks);
  const limits = Limits.of(systemParts.clock, what, limited);
  const { LocalSandbox } = await import('../../cli/parts/local-sandbox.js');
  const { timeoutMs, memoryMb, cpu, startupTimeoutMs } = options;
  const { diskGb } = options.placement;
  const image = await imageFor(given.fork?.image ?? options.image, options.recipe);
  const box = new LocalSandbox({
    ...{ timeoutMs, memoryMb, cpu, startupTimeoutMs },
    ...(diskGb === undefined ? {} : { diskGb }),
    ...(image === undefined ? {} : { image }),
    volumes: mountsTogether(options.volumes, given.volumes),
    env: localVariables(`sandbox '${name}'`, options.secrets),
  });
  const host = hostOf({ appName, name, manifest });
  const idleTimeoutMs = given.idleTimeoutMs ?? options.idleTimeoutMs;
  const args = decodeArgs(encodeArgs([given]));
  const life = new LocalLife({ host, box, args, idleTimeoutMs, memoryMb, keepAlive });
  const beginning = keepAlive.during(life.begin());
  const controls = controlsOf(host, { life, box, open, tags: given.tags ?? [] });
  await during(limits, beginning).catch((e: unknown) => {
    // One that nobody waits for any more is ended when it is there; one that failed has ended itself.
    beginning.then(() => controls.close({ force: true })).catch(() => undefined);
    throw e;
  });
  const { lifetimeMs } = given;
  if (lifetimeMs !== undefined) {
    const end = (): void => void controls.close({ force: true }).catch(() => undefined); // nobody waits for it
    host.clock.after(Math.min(lifetimeMs, noLimitMs), end);
  }
  return { calls: localCalls(host, life), controls };
}

/** Built where the session is, for this process: what it needs of this machine is read now. */
async function imageFor(
  id: string | undefined,
  recipe: ImageRecipe | undefined,
): Promise<LocalSandboxOptions['image']> {
  if (id !== undefined) return () => Promise.resolve(id);
  if (recipe === undefined) return undefined;
  const portable = await withLocalFiles(recipe, { folder: cwd() });
  const watch = { onEvent: () => undefined, signal: new AbortController().signal };
  return (builds) => builds.build(portable.recipe, (sha256) => readTar(portable, sha256), watch);
}

function readTar({ tars }: PortableRecipe, sha256: string): AsyncIterable<Uint8Array> {
  const tar = tars.get(sha256);
  if (tar !== undefined) return tar.read();
  throw new HoldfastError('Internal', `the files ${sha256} of an image were not read`);
}

function hostOf({ appName, name, manifest }: Omit<LocalOrigin, 'open'>): LocalHost {
  const hosted = {
    ctor: Object,
    appName,
    name,
    options: { ...manifest.options, timeoutMs: noLimitMs },
    manifest,
    methods: sandboxMethods,
    enterHooks: ['enter'],
    exitHooks: ['exit'],
    isBuiltIn: true,
  };
  return new LocalHost(hosted, { ...systemParts, log: consoleLogger });
}

function localCalls(host: LocalHost, life: LocalLife): SessionCalls {
  const calleeOf = (method: string, options: AskOptions) => ({
    host,
    plan: sandboxPlans.get(method) as MethodPlan,
    concurrent: sandboxMethods.get(method)?.concurrent ?? false,
    options: callOptionsOf(options),
    keepAlive,
  });
  return {
    label: host.label,
    clock: host.clock,
    call: async <R>(method: string, args: readonly unknown[], options: AskOptions = {}) => {
      // Not awaited where there is nothing to wait for: it could fall asleep meanwhile.
      const waking = life.awake();
      if (waking !== null) await unlessStopped(waking, options, `${method} of ${host.label}`);
      return (await invokeLocally(calleeOf(method, options), args)) as R;
    },
    stream: async function* <Y>(method: string, args: readonly unknown[], options: AskOptions = {}) {
      const waking = life.awake();
      if (waking !== null) await unlessStopped(waking, options, `${method} of ${host.label}`);
      yield* streamLocally(calleeOf(method, options), args) as AsyncIterable<Y>;
    },
  };
}

interface LocalSession {
  readonly life: LocalLife;
  readonly box: Pick<LocalBox, 'view'>;
  readonly tags: readonly string[];
  readonly open: SessionControls['open'];
}

function controlsOf(host: LocalHost, session: LocalSession): SessionControls {
  const close = async (options: CloseOptions): Promise<CloseResult> => {
    checkCloseOptions(options);
    const alreadyClosed = host.phase === 'closed';
    const closing = host.close(options.force ?? false).then(() => session.life.end());
    await keepAlive.during(unlessStopped(closing, options, `the close of ${host.label}`));
    return { closed: true, alreadyClosed, exitHook: 'none' };
  };
  return {
    local: true,
    isOwned: true,
    get closed(): boolean {
      return host.phase !== 'active';
    },
    /** Good for nothing but to look at: only this process knows the session. */
    get handle(): SandboxHandle {
      const { appName: app, className: name } = host.facts;
      return { v: 1, kind: 'sandbox', account: localAccount, app, name, id: host.id, generation: 1, signature: '' };
    },
    inspect: (options) => {
      const limits = Limits.of(host.clock, `the look at ${host.label}`, options);
      return during(limits, describe(host, session));
    },
    close,
    open: session.open,
  };
}

async function describe(
  { facts, id, phase, running, pending, createdAtMs, lastCallAtMs }: LocalHost,
  { box, life, tags }: LocalSession,
): Promise<SandboxSessionInfo> {
  const view = phase === 'active' ? await box.view() : null;
  const processes = (view?.processes ?? []).map(({ pid, command, startedAtMs }) => ({
    pid,
    command,
    startedAt: new Date(startedAtMs),
  }));
  return {
    app: facts.appName,
    name: facts.className,
    id,
    generation: 1,
    epoch: facts.epoch,
    state: phase === 'active' && life.isAsleep ? 'idle' : phase,
    workerId: null,
    running,
    pending,
    deployment: 0,
    createdAt: new Date(createdAtMs),
    lastCallAt: lastCallAtMs === null ? null : new Date(lastCallAtMs),
    restarts: 0,
    cwd: view?.cwd ?? '/',
    processes,
    memoryBytes: view?.memoryBytes ?? 0,
    files: view?.files ?? null,
    tags,
  };
}
