import { HoldfastError, isHoldfastError } from '../../src/common/errors.js';
import type { ClassInstance } from '../../src/sdk/classes/class-types.js';
import { Cls } from '../../src/sdk/classes/cls.js';
import { type Client, clientWith, coreOf } from '../../src/sdk/client.js';
import { poolClasses } from './app/ledger-app.js';
import { app, type Receipt, type Work } from './app/recorder.js';
import type { SimProcess } from './engine/sim-process.js';
import type { Operation } from './history/records.js';
import type { ClusterContext } from './parts/cluster-context.js';
import type { Machine } from './parts/machine.js';
import { SimTransport } from './parts/sim-transport.js';
import type { CallPlan, InstanceRef, Step } from './plan/plan.js';

/** The router answers `named` and the like within a minute; asking for a deployment has its own time. */
const controlWithinMs = 75_000;
/** The client's own clock and wheel, and what the worker's answer takes. */
const slackMs = 700;

/** Handles that anybody may attach to, by instance. */
export type Handles = Map<string, string>;

interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly idempotencyKey?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: by name, as the plan says
type Instance = ClassInstance<any>;

/** One run of a client's process: the SDK, and the steps of its plan. */
export class ClientRun {
  readonly process: SimProcess;
  readonly #context: ClusterContext;
  readonly #client: Client;
  readonly #handles: Handles;
  readonly #instances = new Map<string, Promise<Instance>>();
  readonly #numbers = new Map<string, number>();
  #lastOperation = 0;

  constructor(context: ClusterContext, machine: Machine, handles: Handles) {
    this.process = machine.start(machine.host.name);
    this.#context = context;
    this.#handles = handles;
    const { clock, random } = this.process;
    const routers = random.shuffled(context.routerAddresses);
    const transport = new SimTransport(context, this.process, routers);
    this.#client = clientWith({ transport, endpoint: routers.join(','), clock, random });
    // It must not be what keeps Node alive, nor outlive its process.
    this.process.onDeath(() => coreOf(this.#client).keepAlive.close());
  }

  async step(step: Step): Promise<void> {
    await this.process.clock.sleep(step.pauseMs);
    switch (step.kind) {
      case 'call': {
        const instance = await this.#instanceOf(step.instance);
        if (instance === null) return;
        const { call, times, stall } = step;
        const calls = Array.from({ length: times }, (_, i) =>
          this.call(instance, step.instance, i === stall?.at ? { ...call, workMs: stall.workMs } : call),
        );
        await Promise.all(stall?.isClosed ? [...calls, this.#closeMeanwhile(step.instance, stall.workMs)] : calls);
        return;
      }
      case 'attach':
        return this.#attach(step.instance);
      case 'close':
        return this.#close(step.instance, step.force);
      default:
        return step satisfies never;
    }
  }

  /** Null: it could not be had. */
  async named(ref: InstanceRef): Promise<Instance | null> {
    const found = this.#control('named', ref, async () => {
      const cls = await Cls.fromName(app.name, ref.className, { client: this.#client });
      return (await (poolClasses.has(ref.className) ? cls.bind() : cls.named(ref.id))) as Instance;
    });
    const instance = await found.catch(() => null);
    if (instance !== null) this.#handles.set(nameOf(ref), instance.handleJson);
    return instance;
  }

  /** Its result, or the code of its error. */
  async call(instance: Instance, ref: InstanceRef, plan: CallPlan): Promise<string> {
    const { id, operation } = this.#begin(instance, ref, plan);
    const work: Work = { operation: id, workMs: plan.workMs, isDeaf: plan.isDeaf, resultBytes: plan.resultBytes };
    const abort = new AbortController();
    const options: CallOptions = {
      timeoutMs: plan.timeoutMs,
      ...(plan.cancelAfterMs === null ? {} : { signal: abort.signal }),
      ...(plan.method === 'once' ? { idempotencyKey: plan.key } : {}),
    };
    const cancel =
      plan.cancelAfterMs === null ? null : this.process.clock.after(plan.cancelAfterMs, () => abort.abort());
    await this.#settle(operation, async () => {
      operation.count = await this.#run(instance, plan, { work, options });
    });
    cancel?.cancel();
    if (operation.result === 'InstanceGone' || operation.result === 'InstanceLost') this.#forget(ref);
    return operation.result ?? '';
  }

  async #run(
    instance: Instance,
    plan: CallPlan,
    { work, options }: { readonly work: Work; readonly options: CallOptions },
  ): Promise<number | null> {
    const stub = instance.method(plan.method).with(options);
    if (plan.isSpawned) {
      const { id } = await stub.spawn(...this.#argumentsOf(plan, work));
      this.#context.history.spawned.set(work.operation, id);
      return null;
    }
    if (plan.method === 'count') {
      await this.#read(stub(work, plan.items) as unknown as AsyncIterable<number>, plan);
      return null;
    }
    const answer = (await stub(...this.#argumentsOf(plan, work))) as Receipt & { readonly bytes?: Uint8Array };
    const expected = plan.method === 'relay' ? `${work.operation}/inner` : work.operation;
    const isOwn = answer.operation === expected || plan.method === 'once';
    if (!isOwn || answer.size !== (answer.bytes?.length ?? 0)) {
      this.#context.history.break(
        'answers',
        `${work.operation} got the answer of ${answer.operation}, ${answer.size} bytes`,
      );
    }
    return answer.count ?? null;
  }

  #argumentsOf(plan: CallPlan, work: Work): unknown[] {
    if (plan.method === 'once') return [work, plan.key];
    if (plan.method === 'relay') {
      const inner: Work = { ...work, operation: `${work.operation}/inner`, resultBytes: 0 };
      return [work, { ...plan.to, inner }];
    }
    return plan.argumentBytes > 0 ? [work, new Uint8Array(plan.argumentBytes)] : [work];
  }

  async #read(values: AsyncIterable<number>, plan: CallPlan): Promise<void> {
    let next = 0;
    for await (const value of values) {
      if (value !== next) this.#context.history.break('answers', `a generator gave ${value} in place of ${next}`);
      next += 1;
      if (next >= plan.read) return;
    }
    if (next !== plan.items)
      this.#context.history.break('answers', `a generator ended after ${next} of ${plan.items} values`);
  }

  #instanceOf(ref: InstanceRef): Promise<Instance | null> {
    const known = this.#instances.get(nameOf(ref));
    if (known !== undefined) return known.catch(() => null);
    const made = this.#find(ref);
    this.#instances.set(nameOf(ref), made);
    made.catch(() => this.#forget(ref));
    return made.catch(() => null);
  }

  /** One that was lost for good is closed, so that it can be made again. */
  async #find(ref: InstanceRef): Promise<Instance> {
    const found = await this.named(ref);
    if (found !== null) return found;
    const cls = await Cls.fromName(app.name, ref.className, { client: this.#client });
    await this.#control('close', ref, () => cls.closeNamed(ref.id));
    throw new HoldfastError('Unavailable', `${nameOf(ref)} could not be had`);
  }

  #forget(ref: InstanceRef): void {
    this.#instances.delete(nameOf(ref));
  }

  async #attach(ref: InstanceRef): Promise<void> {
    const handle = this.#handles.get(nameOf(ref));
    if (handle === undefined) return;
    const attached = this.#control('attach', ref, async () => {
      const cls = await Cls.fromName(app.name, ref.className, { client: this.#client });
      return (await cls.attach(handle)) as Instance;
    });
    const instance = await attached.catch(() => null);
    if (instance !== null) this.#instances.set(nameOf(ref), Promise.resolve(instance));
  }

  async #closeMeanwhile(ref: InstanceRef, withinMs: number): Promise<void> {
    await this.process.clock.sleep(withinMs * this.process.random.next());
    await this.#close(ref, false);
  }

  async #close(ref: InstanceRef, force: boolean): Promise<void> {
    const instance = await this.#instanceOf(ref);
    if (instance === null) return;
    await this.#control('close', ref, () => instance.close({ force })).catch(() => null);
    if (instance.closed) this.#forget(ref);
  }

  /** @throws what the operation throws */
  async #control<T>(what: 'named' | 'attach' | 'close', ref: InstanceRef, run: () => Promise<T>): Promise<T> {
    const operation = this.#operation({
      what,
      instance: nameOf(ref),
      method: '',
      isIdempotent: true,
      key: null,
      number: 0,
      hasLargeArguments: false,
      generation: null,
      dueAt: this.#context.timeline.now + controlWithinMs,
    });
    const result = run();
    const error = await this.#settle(operation, async () => void (await result));
    if (error !== null) throw error;
    return await result;
  }

  #begin(instance: Instance, ref: InstanceRef, plan: CallPlan): { readonly id: string; readonly operation: Operation } {
    const { generation } = instance.handle;
    const name = `${nameOf(ref)}:${generation}`;
    const number = (this.#numbers.get(name) ?? 0) + 1;
    this.#numbers.set(name, number);
    const operation = this.#operation({
      what: plan.isSpawned ? 'spawn' : 'call',
      instance: nameOf(ref),
      method: plan.method,
      isIdempotent: plan.method === 'put' || plan.method === 'look',
      key: plan.method === 'once' ? plan.key : null,
      number,
      // One that is left by a lost worker begins when somebody finds it.
      hasLargeArguments: plan.argumentBytes > 0 || plan.isSpawned,
      generation,
      dueAt: this.#context.timeline.now + plan.timeoutMs * 1.006 + slackMs,
    });
    return { id: operation.id, operation };
  }

  #operation(
    init: Omit<
      Operation,
      'id' | 'caller' | 'process' | 'startedAt' | 'result' | 'outcome' | 'count' | 'settledAt' | 'message' | 'stoppedMs'
    >,
  ): Operation {
    this.#lastOperation += 1;
    const { process } = this;
    const operation: Operation = {
      ...init,
      id: `${process.name}.${this.#lastOperation}`,
      caller: process.name,
      process,
      startedAt: this.#context.timeline.now,
      stoppedMs: process.stoppedMs,
      result: null,
      outcome: null,
      count: null,
      settledAt: 0,
      message: '',
    };
    this.#context.history.began(operation);
    return operation;
  }

  /** What it failed with; null: it did not. */
  async #settle(operation: Operation, run: () => Promise<void>): Promise<unknown> {
    const { history } = this.#context;
    try {
      await run();
      history.settled(operation, { result: 'ok', outcome: null, message: '' });
      return null;
    } catch (error) {
      const isOurs = isHoldfastError(error);
      if (!isOurs) history.failed(`${operation.id} failed with what is no HoldfastError: ${String(error)}`);
      const result = isOurs ? error.code : 'Internal';
      const outcome = isOurs ? error.outcome : 'unknown';
      history.settled(operation, { result, outcome, message: error instanceof Error ? error.message : String(error) });
      return error;
    }
  }
}

export function nameOf({ className, id }: InstanceRef): string {
  return `${className}/${id}`;
}
