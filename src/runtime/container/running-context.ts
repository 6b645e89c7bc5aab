import type { Monotonic } from '../../common/clock.js';
import type { CallContext, CallLink, Logger } from '../../common/context.js';
import type { InstanceStorage } from '../../common/instance-storage.js';
import { readMeta } from '../../wire/frames/frame-bodies.js';
import type { IncomingCall } from '../../wire/frames/frame-reader.js';
import type { CallMeta } from '../../wire/frames/frames.js';
import type { HostedInstance } from './hosted-instance.js';

const noChain: readonly CallLink[] = [];

/** What the code of one call may ask for; most of it is made when it asks. */
export class RunningContext implements CallContext {
  readonly deadline: Monotonic | null;
  readonly #instance: HostedInstance;
  readonly #ref: number;
  readonly #method: string;
  readonly #meta: CallMeta | null;
  #aborted: Error | null = null;
  #controller: AbortController | null = null;
  #log: Logger | null = null;
  #chain: readonly CallLink[] | null = null;

  /** @throws InvalidArgument for a meta that is none */
  constructor(instance: HostedInstance, ref: number, head: IncomingCall) {
    this.#instance = instance;
    this.#ref = ref;
    this.#method = head.method;
    this.#meta = head.meta === null ? null : readMeta(head.meta);
    this.deadline = head.remainingMs === 0 ? null : instance.host.clock.monotonic() + head.remainingMs;
  }

  /** `app/Class/id.method`, for messages. */
  get label(): string {
    return `${this.#instance.label}.${this.#method}`;
  }

  abort(reason: Error): void {
    this.#aborted = reason;
    this.#controller?.abort(reason);
  }

  get appName(): string {
    return this.#instance.host.appName;
  }

  get className(): string {
    return this.#instance.klass.name;
  }

  get instanceId(): string {
    return this.#instance.id;
  }

  get epoch(): number {
    return this.#instance.epoch;
  }

  get restarted(): boolean {
    return this.#instance.restarted;
  }

  get callId(): string {
    return `${this.#instance.host.containerId}.${this.#ref}`;
  }

  get attempt(): number {
    return this.#meta?.attempt ?? 1;
  }

  get traceparent(): string | null {
    return this.#meta?.traceparent ?? null;
  }

  get chain(): readonly CallLink[] {
    this.#chain ??= [...(this.#meta?.chain ?? noChain), { callId: this.callId, label: this.label }];
    return this.#chain;
  }

  get log(): Logger {
    this.#log ??= this.#instance.host.logs.logger({ slot: this.#instance.slot, callId: this.callId });
    return this.#log;
  }

  get storage(): InstanceStorage {
    return this.#instance.storage;
  }

  setAlarm(at: Date | number): Promise<void> {
    return this.#instance.storage.setAlarm(at);
  }

  getAlarm(): Promise<Date | null> {
    return this.#instance.storage.getAlarm();
  }

  deleteAlarm(): Promise<void> {
    return this.#instance.storage.deleteAlarm();
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#aborted !== null) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }
}
