import { type Activation, type ActivationPlan, activate, type InstanceClass } from '../../common/activation.js';
import type { Clock } from '../../common/clock.js';
import type { CallContext } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import type { FrameStream } from '../../wire/frame-stream.js';
import type { ActivateBody, DeactivateBody, DeactivatedBody } from '../../wire/frames.js';
import type { LogSink } from './log-sink.js';
import type { RunningCall } from './running-call.js';

/** What instances and calls need of the container that they are in. */
export interface HostParts {
  readonly containerId: string;
  readonly appName: string;
  readonly stream: FrameStream;
  readonly logs: LogSink;
  readonly clock: Clock;
  /** See `ActivationPlan`. */
  readonly isFinal: (thrown: unknown) => boolean;
  /** What the code of a call threw, as its caller gets it. */
  readonly encodeThrown: (thrown: unknown) => Uint8Array;
  /** The call has written its last frame. */
  readonly callEnded: (ref: number) => void;
}

/** Less than a message to the worker costs. */
const quickMs = 0.1;

type State =
  | { readonly phase: 'activating'; readonly stop: AbortController }
  | { readonly phase: 'active'; readonly activation: Activation }
  | { readonly phase: 'left' };

/** One instance in this container, by its slot. */
export class HostedInstance {
  readonly host: HostParts;
  readonly slot: number;
  readonly facts: ActivateBody;
  /** `app/Class/id`, for messages. */
  readonly label: string;
  #state: State = { phase: 'activating', stop: new AbortController() };
  /** Calls that hold a slot. */
  #holders = 0;
  /** Sent before they had one, in their order. */
  readonly #queued: RunningCall[] = [];
  /** Methods whose last run took no time: what comes after one of them is not kept waiting by it. */
  readonly #quick = new Set<string>();

  constructor(host: HostParts, slot: number, facts: ActivateBody) {
    this.host = host;
    this.slot = slot;
    this.facts = facts;
    this.label = `${host.appName}/${facts.className}/${facts.id}`;
  }

  /** Null while it is activating or has left. */
  get activation(): Activation | null {
    return this.#state.phase === 'active' ? this.#state.activation : null;
  }

  /** Constructs it and runs its `enter` hooks. @returns false: told to leave meanwhile @throws ActivationFailed */
  async activate(instanceClass: InstanceClass, args: readonly unknown[]): Promise<boolean> {
    if (this.#state.phase !== 'activating') return false;
    const { signal } = this.#state.stop;
    const { methods, enterHooks, exitHooks } = this.facts;
    const plan: ActivationPlan = {
      instanceClass,
      args,
      methods,
      enterHooks,
      exitHooks,
      label: this.label,
      hookContext: (hookSignal, attempt) => this.#hookContext(hookSignal, attempt),
      isFinal: this.host.isFinal,
      clock: this.host.clock,
    };
    try {
      const activation = await activate(plan, signal);
      if (signal.aborted) return false;
      this.#state = { phase: 'active', activation };
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }

  /** Runs its `exit` hooks where a reason is given; from here on it is not there. */
  async leave({ reason, timeoutMs }: DeactivateBody): Promise<DeactivatedBody> {
    const state = this.#state;
    this.#state = { phase: 'left' };
    if (state.phase === 'activating')
      state.stop.abort(new HoldfastError('Cancelled', `the activation of ${this.label} was given up`));
    if (state.phase !== 'active' || reason === null) return { exitHook: 'skipped' };
    return state.activation.exit(reason, timeoutMs);
  }

  /** A call came: begins it, or lets it wait for a slot where the worker said so. */
  arrived(call: RunningCall): void {
    if (call.isQueued && this.#holders >= this.facts.concurrentRequests) this.#queued.push(call);
    else this.#begin(call);
  }

  /** The code of a call has stopped. */
  stopped(call: RunningCall, tookMs: number): void {
    if (tookMs < quickMs) this.#quick.add(call.method);
    else this.#quick.delete(call.method);
    if (call.isReader) return;
    this.#holders -= 1;
    const next = this.#queued.shift();
    if (next === undefined) return;
    // What is answered must not wait for code that may block.
    if (!this.#quick.has(next.method)) this.host.stream.flushNow();
    this.#begin(next);
  }

  /** It shall not begin. */
  withdraw(call: RunningCall): void {
    this.#queued.splice(this.#queued.indexOf(call), 1);
  }

  #begin(call: RunningCall): void {
    if (!call.isReader) this.#holders += 1;
    call.begin();
  }

  #hookContext(signal: AbortSignal, attempt: number): CallContext {
    const { className, id, epoch, restarted } = this.facts;
    return {
      appName: this.host.appName,
      className,
      instanceId: id,
      callId: null,
      attempt,
      epoch,
      restarted,
      signal,
      log: this.host.logs.logger({ slot: this.slot, callId: null }),
      chain: [],
      deadline: null,
      traceparent: null,
    };
  }
}
