import { type Activated, type Activation, activate } from '../../common/activation.js';
import type { CallContext } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import { alarmOf } from '../../common/instance-alarm.js';
import type { ActivateBody, DeactivateBody, DeactivatedBody } from '../../wire/frames/frames.js';
import { CoalescingStorage } from '../../wire/link/instance-storage.js';
import type { HostedClass, HostParts } from './hosted-class.js';
import type { RunningCall } from './running-call.js';

/** Less than a message to the worker costs. */
const quickMs = 0.1;

type State =
  /** `code` resolves when none of the constructor and the `enter` hooks runs any more. */
  | { readonly phase: 'activating'; readonly stop: AbortController; code: Promise<unknown> }
  | { readonly phase: 'active'; readonly activation: Activation }
  | { readonly phase: 'left' };

const left: State = { phase: 'left' };

/** One instance in this container, by its slot. Very many of them may be here: what its class knows it does not. */
export class HostedInstance implements Activated {
  readonly klass: HostedClass;
  readonly slot: number;
  readonly id: string;
  readonly epoch: number;
  readonly restarted: boolean;
  #state: State = { phase: 'activating', stop: new AbortController(), code: Promise.resolve() };
  /** Calls that hold a slot. */
  #holders = 0;
  /** Null before its code has asked for it. */
  #storage: CoalescingStorage | null = null;
  /** Sent before they had one, in their order; made when there are some. */
  #queued: RunningCall[] | null = null;

  constructor(klass: HostedClass, slot: number, { id, epoch, restarted }: ActivateBody) {
    this.klass = klass;
    this.slot = slot;
    this.id = id;
    this.epoch = epoch;
    this.restarted = restarted;
  }

  get host(): HostParts {
    return this.klass.host;
  }

  /** `app/Class/id`, for messages. */
  get label(): string {
    return `${this.host.appName}/${this.klass.name}/${this.id}`;
  }

  /** Null while it is activating or has left. */
  get activation(): Activation | null {
    return this.#state.phase === 'active' ? this.#state.activation : null;
  }

  get storage(): CoalescingStorage {
    const { host, hasAlarm } = this.klass;
    this.#storage ??= new CoalescingStorage(host.state.linkOf(this.slot), { label: this.label, hasAlarm });
    return this.#storage;
  }

  /** What answers wait for (D3); null: nothing. */
  get unsettledWrites(): Promise<void> | null {
    return this.#storage === null ? null : this.#storage.settled();
  }

  /** Constructs it and runs its `enter` hooks. @returns false: told to leave meanwhile @throws ActivationFailed */
  async activate(args: readonly unknown[]): Promise<boolean> {
    if (this.#state.phase !== 'activating') return false;
    const { signal } = this.#state.stop;
    const activating = activate({ klass: this.klass, subject: this, args }, signal);
    this.#state.code = activating.catch(() => undefined); // told below
    try {
      const activation = await activating;
      if (signal.aborted) return false;
      this.#state = { phase: 'active', activation };
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }

  /** Runs its `exit` hooks where a reason is given; from here on it is not there, and writes nothing. Waits for `enter` hooks to end. */
  async leave(how: DeactivateBody): Promise<DeactivatedBody> {
    const report = await this.#exit(how);
    await this.#storage?.end();
    return report;
  }

  async #exit({ reason, timeoutMs }: DeactivateBody): Promise<DeactivatedBody> {
    const state = this.#state;
    this.#state = left;
    if (state.phase === 'activating') {
      state.stop.abort(new HoldfastError('Cancelled', `the activation of ${this.label} was given up`));
      await state.code;
    }
    if (state.phase !== 'active' || reason === null) return { exitHook: 'skipped' };
    return state.activation.exit(reason, timeoutMs);
  }

  /** A call came: begins it, or lets it wait for a slot where the worker said so. */
  arrived(call: RunningCall): void {
    if (call.isQueued && this.#holders >= this.klass.concurrentRequests) this.#wait(call);
    else this.#begin(call);
  }

  /** The code of a call has stopped. */
  stopped(call: RunningCall, tookMs: number): void {
    const { quick } = this.klass;
    if (tookMs < quickMs) quick.add(call.method);
    else quick.delete(call.method);
    if (call.isReader) return;
    this.#holders -= 1;
    const next = this.#queued?.shift();
    if (next === undefined) return;
    if (this.#queued?.length === 0) this.#queued = null;
    // What is answered must not wait for code that may block.
    if (!quick.has(next.method)) this.host.stream.flushNow();
    this.#begin(next);
  }

  /** It shall not begin. */
  withdraw(call: RunningCall): void {
    const queued = this.#queued?.filter((waiting) => waiting !== call) ?? [];
    this.#queued = queued.length === 0 ? null : queued;
  }

  hookContext(signal: AbortSignal, attempt: number): CallContext {
    const storage = (): CoalescingStorage => this.storage;
    return {
      appName: this.host.appName,
      className: this.klass.name,
      instanceId: this.id,
      callId: null,
      attempt,
      epoch: this.epoch,
      restarted: this.restarted,
      signal,
      log: this.host.logs.logger({ slot: this.slot, callId: null }),
      // Most never ask for it.
      get storage() {
        return storage();
      },
      chain: [],
      deadline: null,
      traceparent: null,
      ...alarmOf(storage),
    };
  }

  #wait(call: RunningCall): void {
    call.waits();
    this.#queued ??= [];
    this.#queued.push(call);
  }

  #begin(call: RunningCall): void {
    if (!call.isReader) this.#holders += 1;
    call.begin();
  }
}
