import { LRUCache } from 'lru-cache';
import { mostReaders } from '../../common/batches.js';
import { HoldfastError } from '../../common/errors.js';
import type { Identity } from '../../common/ids.js';
import type { MailboxLimits } from '../../common/mailbox.js';
import {
  type ClassManifest,
  type ClassOptions,
  type DeploymentRecord,
  kindOf,
  type MethodManifest,
  type ResourceKind,
} from '../../common/manifest.js';
import type { Store } from '../../common/ports/store.js';
import { RetryBudget } from '../../common/retry-budget.js';
import { sandboxLaneWidth, sandboxMethods } from '../../common/sandbox-methods.js';

/** A class of one deployment as a worker uses it: what calls need is looked up once, here. */
export interface LoadedClass {
  readonly kind: ResourceKind;
  readonly account: string;
  readonly app: string;
  readonly deployment: number;
  readonly bundleSha256: string;
  readonly manifest: ClassManifest;
  readonly options: ClassOptions;
  /** What can be called; a sandbox's manifest has no say in it (C9). */
  readonly methods: ReadonlyMap<string, MethodManifest>;
  /** Of one attempt of one call; null: a session limits its commands itself and keeps what they printed, its streams may last. */
  readonly attemptMs: number | null;
  readonly enterHooks: readonly string[];
  readonly exitHooks: readonly string[];
  /** What an alarm calls, and nobody else; null: the class has no such method. */
  readonly alarm: MethodManifest | null;
  /** Of its spawned calls, here. */
  readonly retryBudget: RetryBudget;
  /** `app/Class@deployment`: instances of one label can share a container. */
  readonly label: string;
}

const keptDeployments = 256;

/** A session's files and streams have a lane of their own, however few commands it may run; a pool has the slots of all its containers. */
export function mailboxLimits({ kind, options, methods }: LoadedClass, isPool: boolean): MailboxLimits {
  if (kind === 'sandbox') return { ...options, maxReaders: sandboxLaneWidth };
  const { concurrentRequests, maxPendingTasks, maxContainers = 1 } = options;
  const slots = isPool ? concurrentRequests * maxContainers : concurrentRequests;
  const maxReaders = mostReaders({ concurrentRequests: slots, maxPendingTasks }, methods.values());
  if (maxReaders === null) return isPool ? { concurrentRequests: slots, maxPendingTasks } : options;
  return { concurrentRequests: slots, maxPendingTasks, maxReaders };
}

/** Deployments never change, so each is read from the store once. */
export class ClassLoader {
  readonly #store: Store;
  readonly #loaded = new LRUCache<string, LoadedClass>({ max: keptDeployments });

  constructor(store: Store) {
    this.#store = store;
  }

  /** @throws NotFound, Unavailable */
  async load({ account, app, className }: Identity, version: number): Promise<LoadedClass> {
    const label = `${app}/${className}@${version}`;
    const known = this.#loaded.get(`${account}:${label}`);
    if (known !== undefined) return known;
    const deployment = await this.#store.apps.get(account, app, version);
    const manifest = deployment?.manifest.classes[className];
    if (deployment === null || manifest === undefined) {
      throw new HoldfastError('NotFound', `deployment ${version} of app '${app}' has no class '${className}'`, {
        details: { app, className, deployment: version },
      });
    }
    const loaded = loadedClass(deployment, manifest, label);
    this.#loaded.set(`${account}:${label}`, loaded);
    return loaded;
  }
}

function loadedClass(deployment: DeploymentRecord, manifest: ClassManifest, label: string): LoadedClass {
  const kind = kindOf(manifest);
  const isSandbox = kind === 'sandbox';
  return {
    kind,
    account: deployment.account,
    app: deployment.app,
    deployment: deployment.version,
    bundleSha256: deployment.bundleSha256,
    manifest,
    options: manifest.options,
    methods: isSandbox ? sandboxMethods : new Map(Object.entries(manifest.methods)),
    attemptMs: isSandbox ? null : manifest.options.timeoutMs,
    enterHooks: isSandbox ? ['enter'] : manifest.enterHooks,
    exitHooks: isSandbox ? ['exit'] : manifest.exitHooks,
    alarm: alarmMethod(manifest),
    retryBudget: new RetryBudget(),
    label,
  };
}

function alarmMethod({ alarm }: ClassManifest): MethodManifest | null {
  if (alarm === null || alarm === undefined) return null;
  const plain = { generator: false, parameters: [], tags: [], metadata: {}, idempotent: false, concurrent: false };
  return { name: alarm, ...plain };
}
