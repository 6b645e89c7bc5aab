import type { ClassManifest } from '../../common/manifest.js';
import { sandboxMethods } from '../../common/sandbox-methods.js';
import type { GivenSessionOptions } from '../../common/session-options.js';
import { decodeArgs, encodeArgs } from '../../wire/codec.js';
import { checkCloseOptions } from '../call-options.js';
import { systemParts } from '../default-client.js';
import { localAccount } from '../handle-input.js';
import type { CloseOptions, CloseResult } from '../infos.js';
import { KeepAlive } from '../keep-alive.js';
import type { MethodPlan } from '../method-plan.js';
import type { SessionControls, SessionInit } from '../sandbox/sandbox-session.js';
import { type AskOptions, type SessionCalls, sandboxPlans } from '../sandbox/session-calls.js';
import type { SandboxHandle, SandboxSessionInfo } from '../sandbox/types.js';
import { consoleLogger } from './console-logger.js';
import { sandboxDied } from './local-errors.js';
import { LocalHost } from './local-host.js';
import { invokeLocally, streamLocally } from './local-invoke.js';
import { unlessStopped } from './unless-stopped.js';

const keepAlive = new KeepAlive();
/** The session limits its commands itself, and keeps what they have printed. */
const noLimitMs = 2_147_483_647;

/** A session in this process, in a sandbox of this machine. @throws SandboxUnavailable, ActivationFailed */
export async function openLocalSession(
  sandbox: { readonly appName: string; readonly name: string; readonly manifest: ClassManifest },
  given: GivenSessionOptions,
): Promise<Omit<SessionInit, 'sandbox'>> {
  const { manifest, appName, name } = sandbox;
  const { timeoutMs, memoryMb, cpu, placement } = manifest.options;
  const { startLocalSandbox } = await import('../../cli/parts/local-sandbox.js');
  const box = await keepAlive.during(
    startLocalSandbox({
      ...{ timeoutMs, memoryMb, cpu },
      ...(placement.diskGb === undefined ? {} : { diskGb: placement.diskGb }),
    }),
  );
  const host = new LocalHost(
    {
      ctor: box.instanceClass,
      appName,
      name,
      options: { ...manifest.options, timeoutMs: noLimitMs },
      manifest,
      methods: sandboxMethods,
      enterHooks: ['enter'],
      exitHooks: ['exit'],
      isBuiltIn: true,
    },
    { ...systemParts, log: consoleLogger },
  );
  try {
    await keepAlive.during(host.start(decodeArgs(encodeArgs([given]))));
  } catch (e) {
    await box.end();
    throw e;
  }
  const controls = controlsOf(host, { ...box, tags: given.tags ?? [] });
  const { lifetimeMs } = given;
  if (lifetimeMs !== undefined) {
    const end = (): void => void controls.close({ force: true }).catch(() => undefined); // nobody waits for it
    host.clock.after(Math.min(lifetimeMs, noLimitMs), end);
  }
  void box.died.then(({ outOfMemory }) => {
    if (host.phase === 'active') host.lost(sandboxDied(host.label, { outOfMemory, memoryMb }));
  });
  return { calls: localCalls(host), controls };
}

function localCalls(host: LocalHost): SessionCalls {
  const calleeOf = (method: string, { signal }: AskOptions) => ({
    host,
    plan: sandboxPlans.get(method) as MethodPlan,
    concurrent: sandboxMethods.get(method)?.concurrent ?? false,
    options: signal === undefined ? null : { signal },
    keepAlive,
  });
  return {
    label: host.label,
    call: async <R>(method: string, args: readonly unknown[], options: AskOptions = {}) =>
      (await invokeLocally(calleeOf(method, options), args)) as R,
    stream: <Y>(method: string, args: readonly unknown[], options: AskOptions = {}) =>
      streamLocally(calleeOf(method, options), args) as AsyncIterable<Y>,
  };
}

type Box = Awaited<ReturnType<typeof import('../../cli/parts/local-sandbox.js').startLocalSandbox>>;

function controlsOf(host: LocalHost, box: Box & { readonly tags: readonly string[] }): SessionControls {
  let ended: Promise<void> | null = null;
  const close = async (options: CloseOptions): Promise<CloseResult> => {
    checkCloseOptions(options);
    const alreadyClosed = host.phase === 'closed';
    const closing = host.close(options.force ?? false).then(() => {
      ended ??= box.end();
      return ended;
    });
    await keepAlive.during(unlessStopped(closing, options, host.label));
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
    inspect: () => describe(host, box),
    close,
  };
}

async function describe(
  { facts, id, phase, running, pending, createdAtMs, lastCallAtMs }: LocalHost,
  box: Box & { readonly tags: readonly string[] },
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
    state: phase,
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
    tags: box.tags,
  };
}
