import { LRUCache } from 'lru-cache';
import { type Activation, activate, type ExitReport, type InstanceClass, orAborted } from '../../common/activation.js';
import { type BatchOptions, mostReaders } from '../../common/batches.js';
import type { Clock, Monotonic, Random } from '../../common/clock.js';
import type { CallContext, Logger } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { alarmOf, type InstanceAlarm } from '../../common/instance-alarm.js';
import { Mailbox } from '../../common/mailbox.js';
import type { ClassManifest, ClassOptions } from '../../common/manifest.js';
import { isEndless, sandboxLaneWidth } from '../../common/sandbox-methods.js';
import { CoalescingStorage } from '../../wire/link/instance-storage.js';
import type { RegisteredClass } from '../classes/registry.js';
import { LocalAlarm } from './local-alarm.js';
import type { LocalCall } from './local-call.js';
import { closing, deadlock, forceClosed, gone, pendingLimitExceeded, startedTooLate } from './local-errors.js';
import { LocalState } from './local-state.js';

/** A class as its decorators described it, or one of the runtime's own. */
export interface HostedClass
  extends Pick<RegisteredClass, 'appName' | 'name' | 'options' | 'manifest' | 'enterHooks' | 'exitHooks'> {
  readonly ctor: InstanceClass;
  readonly methods: ReadonlyMap<string, unknown>;
  /** What it throws is ours, not the user's. */
  readonly isBuiltIn?: boolean;
  readonly alarm?: string | null;
}

/** What holds a local instance. */
export interface LocalParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

type HostState = { readonly phase: 'active' } | { readonly phase: 'closing' } | { readonly phase: 'closed' };

const keptKeys = 10_000;
const keptKeysMs = 600_000;

/**
 * One instance in this process: the worker's admission and the container's activation, without either.
 *
 * I1. A call runs only with a slot of the mailbox, and frees it when its code has stopped (C4).
 * I2. `exit` runs once, after the running calls or their time (C3, C9).
 */
export class LocalHost {
  readonly id: string;
  readonly label: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly manifest: ClassManifest;
  readonly createdAtMs: number;
  facts: Pick<CallContext, 'appName' | 'className' | 'instanceId' | 'epoch' | 'restarted' | 'log' | 'storage'> &
    InstanceAlarm;
  lastCallAtMs: number | null = null;
  /** The end of its last call, or of its activation. */
  quietSince: Monotonic = 0;
  /** Answers of calls with an idempotency key. */
  readonly keyed = new LRUCache<string, Promise<Uint8Array>>({ max: keptKeys, ttl: keptKeysMs });
  readonly #registered: HostedClass;
  readonly #mailbox: Mailbox<LocalCall>;
  readonly #storage: CoalescingStorage;
  readonly #alarm: LocalAlarm | null;
  readonly #detached = new Set<LocalCall>();
  #activation: Activation | null = null;
  #state: HostState = { phase: 'active' };
  #closing: Promise<ExitReport> | null = null;
  #whenQuiet: () => void = () => undefined;
  #callCount = 0;

  constructor(registered: HostedClass, parts: LocalParts) {
    const { appName, name, options, manifest } = registered;
    this.#registered = registered;
    this.manifest = manifest;
    this.clock = parts.clock;
    this.random = parts.random;
    this.id = `local-${Buffer.from(parts.random.bytes(10)).toString('hex')}`;
    this.label = `${appName}/${name}/${this.id}`;
    this.createdAtMs = parts.clock.now();
    const { alarm = null } = registered;
    this.#alarm = alarm === null ? null : new LocalAlarm(this, alarm);
    const storageOf = { label: this.label, hasAlarm: alarm !== null };
    this.#storage = new CoalescingStorage(new LocalState(this.#alarm), storageOf);
    this.facts = {
      appName,
      className: name,
      instanceId: this.id,
      epoch: 0,
      restarted: false,
      log: parts.log,
      storage: this.#storage,
      ...alarmOf(() => this.#storage),
    };
    const maxReaders = registered.isBuiltIn ? sandboxLaneWidth : mostReaders(options, Object.values(manifest.methods));
    const limits = maxReaders === null ? options : { ...options, maxReaders };
    this.#mailbox = new Mailbox(limits, parts.clock);
  }

  /** What its code throws is ours, not the user's. */
  get isBuiltIn(): boolean {
    return this.#registered.isBuiltIn ?? false;
  }

  get options(): ClassOptions {
    return this.#registered.options;
  }

  get phase(): HostState['phase'] {
    return this.#state.phase;
  }

  /** Nothing runs or waits. */
  get isQuiet(): boolean {
    return this.running + this.pending + this.#detached.size === 0;
  }

  get running(): number {
    return this.#mailbox.running;
  }

  get pending(): number {
    return this.#mailbox.pending;
  }

  /** @throws NotFound for what is not decorated, Internal before `start` */
  get activation(): Activation {
    if (this.#activation === null) throw new HoldfastError('Internal', `${this.label} has not started`);
    return this.#activation;
  }

  /** Constructs it and runs its `enter` hooks, at first and after a sleep. @throws ActivationFailed */
  async start(args: readonly unknown[], ctor: InstanceClass = this.#registered.ctor): Promise<void> {
    this.facts = { ...this.facts, epoch: this.facts.epoch + 1 };
    const { options, enterHooks, exitHooks, methods, alarm = null } = this.#registered;
    const overtime = new AbortController();
    const late = startedTooLate(this.label, options.startupTimeoutMs);
    const timer = this.clock.after(options.startupTimeoutMs, () => overtime.abort(late));
    const klass = {
      instanceClass: ctor,
      methods: new Set(alarm === null ? methods.keys() : [...methods.keys(), alarm]),
      enterHooks,
      exitHooks,
      batches: batchesOf(this.manifest),
      concurrentRequests: options.concurrentRequests,
      isFinal: (thrown: unknown) => this.isBuiltIn && isHoldfastError(thrown),
      clock: this.clock,
    };
    const subject = {
      label: this.label,
      hookContext: (signal: AbortSignal, attempt: number): CallContext => ({
        ...this.facts,
        callId: null,
        attempt,
        signal,
        chain: [],
        deadline: null,
        traceparent: null,
      }),
    };
    try {
      this.#activation = await orAborted(activate({ klass, subject, args }, overtime.signal), overtime.signal);
      this.quietSince = this.clock.monotonic();
    } finally {
      timer.cancel();
    }
  }

  /** Ends its activation, in a moment in which it is quiet; `start` comes before its next call. */
  async sleep(): Promise<void> {
    const activation = this.#activation;
    this.#activation = null;
    await activation?.exit('idle', this.options.exitTimeoutMs);
  }

  nextCallId(): string {
    this.#callCount += 1;
    return `${this.id}.${this.#callCount}`;
  }

  /** Admission, in one step (C1); refusals settle the call's turn. */
  admit(call: LocalCall): void {
    if (this.#state.phase !== 'active') return call.stop(this.#refusal(call));
    const admission = this.#mailbox.admit(call);
    switch (admission.verdict) {
      case 'run':
        return call.start();
      case 'wait':
        return;
      case 'deadlock':
        return call.stop(deadlock(call.what, admission.chain));
      case 'full':
        return call.stop(pendingLimitExceeded(call.what, admission));
      default:
        return admission satisfies never;
    }
  }

  withdraw(call: LocalCall): void {
    this.#mailbox.withdraw(call);
  }

  /** The call is answered, its code goes on: nobody waits for that. */
  detached(call: LocalCall): void {
    this.#detached.add(call);
    if (this.#state.phase !== 'active') call.stop(forceClosed(call.what));
  }

  /** The call's code has stopped. */
  release(call: LocalCall): void {
    this.lastCallAtMs = this.clock.now();
    this.quietSince = this.clock.monotonic();
    this.#detached.delete(call);
    this.#mailbox.release(call)?.start();
    if (this.#mailbox.running === 0) this.#whenQuiet();
  }

  /** Running calls finish, or are aborted; waiting ones are refused; `exit` runs once (C9). */
  close(force: boolean): Promise<ExitReport> {
    if (this.#closing === null) {
      this.#state = { phase: 'closing' };
      for (const call of this.#mailbox.withdrawAll()) call.stop(closing(call.what));
      const endless = this.isBuiltIn ? this.#mailbox.runningCalls().filter((call) => isEndless(call.plan)) : [];
      for (const call of [...this.#detached, ...endless]) call.stop(forceClosed(call.what));
      this.#closing = this.#finish();
    }
    if (force) for (const call of this.#mailbox.runningCalls()) call.stop(forceClosed(call.what));
    if (force) this.#whenQuiet();
    return this.#closing;
  }

  /** What its code stood on is gone, and so is it: everybody who waits is told that. */
  lost(error: HoldfastError): void {
    this.#state = { phase: 'closed' };
    this.#closing ??= Promise.resolve({ exitHook: 'none' });
    for (const call of [...this.#mailbox.withdrawAll(), ...this.#mailbox.runningCalls()]) call.stop(error);
    this.#whenQuiet();
  }

  async #finish(): Promise<ExitReport> {
    await this.#quiet();
    for (const call of this.#mailbox.runningCalls()) call.stop(forceClosed(call.what));
    const report = await this.#activation?.exit('close', this.options.exitTimeoutMs);
    this.#alarm?.set(null);
    await this.#storage.end();
    this.#state = { phase: 'closed' };
    return report ?? { exitHook: 'none' };
  }

  /** Until nothing runs, or for as long as the class gives its calls at an end. */
  #quiet(): Promise<void> {
    if (this.#mailbox.running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.clock.after(this.options.exitTimeoutMs, () => this.#whenQuiet());
      this.#whenQuiet = () => {
        timer.cancel();
        this.#whenQuiet = () => undefined;
        resolve();
      };
    });
  }

  #refusal(call: LocalCall): HoldfastError {
    return this.#state.phase === 'closed' ? gone(this.label) : closing(call.what);
  }
}

function batchesOf({ methods }: ClassManifest): ReadonlyMap<string, BatchOptions> {
  return new Map(Object.values(methods).flatMap(({ name, batch }) => (batch === undefined ? [] : [[name, batch]])));
}
