import type { Clock } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { BootId, InstanceKey } from '../common/ids.js';
import type { BusMessage } from '../common/ports/bus.js';
import type { SessionView } from '../common/sandbox-methods.js';
import type { CallId } from '../common/spawned-call.js';
import { encodeError } from '../wire/errors.js';
import {
  type CloseInstance,
  type DescribeReply,
  type InstanceLoad,
  type PlaceBatch,
  type PlaceInstance,
  type PlaceReply,
  type ReleaseInstance,
  WorkerControl,
  WorkerControlReply,
} from '../wire/gen/holdfast/v1/bus.js';
import type { CloseReply } from '../wire/gen/holdfast/v1/router.js';
import { decodePin } from '../wire/pin-record.js';
import type { Activator } from './instances/activator.js';
import type { Alarms } from './instances/alarms.js';
import type { Instance } from './instances/instance.js';
import type { Leaving } from './instances/leaving.js';
import type { LogBook } from './log-book.js';
import { describePool } from './pool/describe-pool.js';
import type { Sessions } from './sandbox/sessions.js';

/** Of one session: what user code chose must fit into a message with others. */
const describedProcesses = 64;
const describedWords = 32;
const describedCharacters = 256;

type Result = NonNullable<WorkerControlReply['result']>;

export interface ControlDeps {
  readonly bootId: BootId;
  readonly clock: Clock;
  readonly instances: ReadonlyMap<InstanceKey, Instance>;
  readonly activator: Activator;
  readonly alarms: Alarms;
  readonly leaving: Leaving;
  readonly logs: LogBook;
  readonly sessions: Sessions | null;
  /** Resolves when every instance has left, with how many did. */
  readonly drain: () => Promise<number>;
}

/** What routers ask of this worker over the bus. Every request gets an answer, if only that it failed. */
export class Control {
  readonly #deps: ControlDeps;

  constructor(deps: ControlDeps) {
    this.#deps = deps;
  }

  async onMessage(message: BusMessage): Promise<void> {
    const result = await this.#answer(message.payload).catch(
      (e: unknown): Result => ({ $case: 'error', value: Buffer.from(encodeError(e)) }),
    );
    try {
      message.respond(WorkerControlReply.encode({ result }).finish());
    } catch (e) {
      // Too long for the bus, say; where not even this can be sent the bus is gone, and the router asks again.
      answerInstead(message, e);
    }
  }

  async #answer(payload: Uint8Array): Promise<Result> {
    const request = WorkerControl.decode(payload);
    if (request.bootId !== this.#deps.bootId) return { $case: 'wrongBoot', value: true };
    const { op } = request;
    switch (op?.$case) {
      case 'place':
        return { $case: 'place', value: await this.#place(op.value) };
      case 'close':
        return { $case: 'close', value: await this.#close(op.value) };
      case 'release':
        return { $case: 'release', value: { released: await this.#release(op.value) } };
      case 'drain':
        return { $case: 'drain', value: { drained: await this.#deps.drain() } };
      case 'describe':
        return { $case: 'describe', value: await this.#describe(op.value.keys) };
      case 'forget':
        this.#deps.sessions?.forget(op.value.key as InstanceKey, op.value.generation);
        return { $case: 'forget', value: {} };
      case 'ring': {
        const { key, epoch, id } = op.value;
        this.#deps.alarms.ring(key as InstanceKey, epoch, id);
        return { $case: 'ring', value: {} };
      }
      case 'resumeCalls': {
        const instance = this.#at(op.value.key, op.value.epoch);
        const isHere = instance !== undefined && instance.refusing === null;
        return { $case: 'resumeCalls', value: { resumed: isHere && (await instance.spawned.resume()) } };
      }
      case 'cancelSpawned': {
        const { key, epoch, id } = op.value;
        const outcome = await this.#at(key, epoch)?.spawned.cancel(id as CallId);
        return { $case: 'cancelSpawned', value: { outcome: outcome ?? '' } };
      }
      case 'tailLogs':
        return { $case: 'tailLogs', value: { lines: op.value.request ? this.#deps.logs.tail(op.value.request) : [] } };
      case undefined:
        throw new HoldfastError('InvalidArgument', 'the control message asks for nothing this worker knows');
    }
  }

  async #place(batch: PlaceBatch): Promise<{ replies: PlaceReply[] }> {
    const place = async ({ pin, key, epoch }: PlaceInstance): Promise<PlaceReply> => {
      try {
        if (this.#at(key, epoch) === undefined) {
          // Only asked whether it is here. What is neither that nor on its way never comes at this epoch again.
          if (pin.length === 0 && this.#deps.activator.arrival(key as InstanceKey, epoch) === undefined)
            throw absent(key);
          if (pin.length === 0) return { result: undefined };
          await this.#deps.activator.place(decodePin(pin));
        }
        return { result: { $case: 'active', value: true } };
      } catch (e) {
        return { result: { $case: 'refused', value: Buffer.from(encodeError(e)) } };
      }
    };
    return { replies: await Promise.all(batch.instances.map(place)) };
  }

  async #close(close: CloseInstance): Promise<CloseReply> {
    const instance = this.#at(close.key, close.epoch);
    if (instance === undefined) return { closed: false, alreadyClosed: false, exitHook: 'none', error: undefined };
    const timeoutMs = close.timeoutMs || instance.klass.options.exitTimeoutMs;
    const exit = await this.#deps.leaving.close(instance, { force: close.force, timeoutMs });
    const hasHooks = instance.klass.manifest.exitHooks.length > 0;
    return { closed: true, alreadyClosed: false, exitHook: hasHooks ? exit.exitHook : 'none', error: exit.error };
  }

  async #release(release: ReleaseInstance): Promise<boolean> {
    const instance = this.#at(release.key, release.epoch);
    if (instance === undefined) return false;
    await this.#deps.leaving.release(instance, release.reason === 'drain' ? 'drain' : 'redeploy');
    return true;
  }

  async #describe(keys: readonly string[]): Promise<DescribeReply> {
    const { clock, instances, sessions } = this.#deps;
    const described = keys.map((key) => instances.get(key as InstanceKey)).filter((instance) => instance !== undefined);
    const monotonic = clock.monotonic();
    const describe = async (instance: Instance): Promise<InstanceLoad> => ({
      key: instance.key,
      epoch: instance.epoch,
      running: instance.running,
      pending: instance.pending,
      lastCallAtMs: Math.round(clock.now() - (monotonic - instance.lastCallEndedAt)),
      phasesMs: instance.phasesMs,
      session: instance.klass.kind === 'sandbox' ? sessionOf(await sessions?.describe(instance)) : undefined,
      pool: instance.pool === null ? undefined : describePool(instance),
    });
    return { instances: await Promise.all(described.map(describe)) };
  }

  #at(key: string, epoch: number): Instance | undefined {
    const instance = this.#deps.instances.get(key as InstanceKey);
    return instance?.epoch === epoch ? instance : undefined;
  }
}

function absent(key: string): HoldfastError {
  return new HoldfastError('NotFound', `instance ${key} is not at this worker`);
}

function sessionOf(view: SessionView | null | undefined): InstanceLoad['session'] {
  if (view === null || view === undefined) return undefined;
  const { cwd, memoryBytes, files } = view;
  const processes = view.processes.slice(0, describedProcesses).map(({ pid, command, startedAtMs }) => ({
    pid,
    command: command.slice(0, describedWords).map((word) => word.slice(0, describedCharacters)),
    startedAtMs: Math.round(startedAtMs),
  }));
  return { cwd, memoryBytes, processes, files: files ?? undefined };
}

function answerInstead(message: BusMessage, error: unknown): void {
  const result: Result = { $case: 'error', value: Buffer.from(encodeError(error)) };
  try {
    message.respond(WorkerControlReply.encode({ result }).finish());
  } catch {
    // As above.
  }
}
