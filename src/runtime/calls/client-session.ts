import { HoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import { encodeError } from '../../wire/errors.js';
import { readBind, readMeta } from '../../wire/frames/frame-bodies.js';
import { type IncomingCall, readBody, readCall, readCancel, readCredit } from '../../wire/frames/frame-reader.js';
import { type BindBody, CancelReason, FrameKind, inlinePayloadBytes } from '../../wire/frames/frames.js';
import { RefTable } from '../../wire/frames/ref-table.js';
import type { ServerLink } from '../../wire/link/link-host.js';
import { decodePin } from '../../wire/pin-record.js';
import { tracing } from '../../wire/tracing.js';
import { Instance } from '../instances/instance.js';
import type { ArgumentRoom } from '../spawned/argument-room.js';
import { type SpawnArrival, SpawnRequest } from '../spawned/spawn-request.js';
import { HeldCall } from './arrival.js';
import { Bindings, type Elsewhere, isSame } from './bindings.js';
import { problemOf, unknownMethodOf } from './call-problems.js';
import { CallTrace } from './call-trace.js';
import type { ClientHost } from './client-host.js';
import type { KeyedFollower } from './keyed-follower.js';
import { NameRequests } from './name-requests.js';
import { type Caller, WorkerCall } from './worker-call.js';

/** A call that comes before its instance. */
interface Arriving {
  readonly ref: number;
  readonly slot: number;
  readonly frame: Buffer;
  readonly meta: IncomingCall['meta'];
}

/** A call with an idempotency key. */
interface KeyedArrival extends Pick<WorkerCall, 'instance' | 'method' | 'chain'> {
  readonly head: IncomingCall;
  readonly frame: Buffer;
  readonly key: string;
}

/** A call that outlives its caller. */
type Spawning = Pick<SpawnArrival, 'instance' | 'method' | 'head' | 'spawn'>;

/** Those that follow a call with their key take no place in any mailbox. */
const maxCalls = 1_048_576;

/**
 * One client of this worker: its slots, its calls that are not answered yet, and the way back to it.
 *
 * I1. A frame that breaks the protocol ends this session and nothing else.
 * I2. When the client is gone its calls are cancelled (C5).
 */
export class ClientSession implements Caller {
  readonly #host: ClientHost;
  readonly #link: ServerLink;
  readonly #bindings: Bindings;
  readonly #calls = new RefTable<WorkerCall | KeyedFollower | HeldCall | SpawnRequest>();
  readonly #argumentRoom: ArgumentRoom;
  readonly #names: NameRequests;
  #lastRefused: Elsewhere | null = null;

  constructor(host: ClientHost, link: ServerLink, argumentRoom: ArgumentRoom) {
    this.#host = host;
    this.#link = link;
    this.#argumentRoom = argumentRoom;
    this.#bindings = new Bindings((key) => host.find(key));
    this.#names = new NameRequests(host.placements.names, link, this.#bindings);
  }

  // biome-ignore lint/complexity/useMaxParams: no object per frame
  onFrame(kind: FrameKind, ref: number, slot: number, frame: Buffer): void {
    switch (kind) {
      case FrameKind.Call:
        return this.#onCall(ref, slot, frame);
      case FrameKind.Bind:
        return this.#onBind(slot, frame);
      case FrameKind.Make:
        return this.#names.onFrame(ref, slot, frame);
      case FrameKind.Chunk:
        return this.#calls.get(ref)?.chunk(frame);
      case FrameKind.Credit:
        return this.#onCredit(ref, frame);
      case FrameKind.Cancel:
        return this.#onCancel(ref, frame);
      default:
        throw new HoldfastError('InvalidArgument', `a client must not send frames of kind ${kind}`);
    }
  }

  /** The client is gone, or its link was closed: nobody waits for these answers. */
  onGone(): void {
    this.#names.close();
    const calls = this.#calls.values();
    this.#calls.clear();
    for (const call of calls) {
      if (call instanceof WorkerCall) call.instance.calls.cancel(call, CancelReason.caller);
      else if (call instanceof SpawnRequest) call.abandon();
      else call.cancel(false);
    }
    this.#bindings.clear();
  }

  forward(frame: Buffer, ref: number): void {
    this.#link.writer.forward(frame, ref, 0);
    this.#flush();
  }

  fail(ref: number, error: unknown): void {
    this.#sendError(ref, encodeError(error));
  }

  moved(ref: number): void {
    this.#link.writer.frame(FrameKind.Moved, ref, 0);
    this.#flush();
  }

  done(ref: number): void {
    this.#calls.delete(ref);
  }

  /** The last answer that this client waits for goes out at once; while others are on their way it joins them. */
  #flush(): void {
    if (this.#calls.size <= 1) this.#link.flushNow();
    else this.#link.flushSoon();
  }

  #onBind(slot: number, frame: Buffer): void {
    const bind = readBind(readBody(frame));
    const refused = this.#refusalOf(bind);
    if (refused === null) this.#link.trust();
    if (refused === null && bind.pin !== undefined)
      this.#host.placements.expect(bind.key as InstanceKey, decodePin(bind.pin));
    const { key, epoch } = bind;
    this.#bindings.set(slot, refused ?? { key: key as InstanceKey, epoch, refusal: null });
  }

  /** Null: it may be called. Very many may be refused for one reason, of which nothing else is kept. */
  #refusalOf(bind: BindBody): Elsewhere | null {
    try {
      this.#host.checkCapability(bind);
      return null;
    } catch (e) {
      const refusal = encodeError(e);
      if (!this.#lastRefused?.refusal || Buffer.compare(refusal, this.#lastRefused.refusal) !== 0)
        this.#lastRefused = { key: '' as InstanceKey, epoch: 0, refusal };
      return this.#lastRefused;
    }
  }

  #onCall(ref: number, slot: number, frame: Buffer): void {
    const binding = this.#bindings.at(slot);
    if (binding === undefined || this.#calls.has(ref) || this.#calls.size >= maxCalls) {
      throw new HoldfastError(
        'InvalidArgument',
        `call ${ref} names slot ${slot} that is not bound, its number is taken, or ${maxCalls} are under way`,
      );
    }
    const head = readCall(frame);
    if (head.payload.length > inlinePayloadBytes) {
      throw new HoldfastError(
        'InvalidArgument',
        `call ${ref} carries ${head.payload.length} bytes, more than asked for`,
      );
    }
    if (!(binding instanceof Instance) && binding.refusal !== null) return this.#refuse(ref, binding.refusal);
    const instance = this.#bindings.instanceAt(slot, binding);
    // First of all (C1): where it leaves, its successor may know methods that it does not.
    if (instance === undefined || instance.refusing === 'moving' || !this.#host.mayAdmit()) {
      const isToCome = instance === undefined && !(binding instanceof Instance);
      if (isToCome && this.#isHeld(binding, { ref, slot, frame, meta: head.meta })) return;
      this.#host.countCall('moved');
      return this.moved(ref);
    }
    const method = instance.klass.methods.get(head.method);
    const error = method === undefined ? unknownMethodOf(instance, head.method) : problemOf(head, method);
    if (method === undefined || error !== null) return this.#refuse(ref, encodeError(error));
    const meta = head.meta === null ? null : readMeta(head.meta);
    const deadlineAt = head.remainingMs === 0 ? null : this.#host.clock.monotonic() + head.remainingMs;
    const chain = meta?.chain ?? null;
    const spawn = meta?.spawn as SpawnArrival['spawn'] | undefined;
    if (spawn !== undefined) return this.#spawn(ref, { instance, method, head, spawn });
    if (meta?.idempotencyKey !== undefined && !method.generator) {
      return this.#followKey(ref, { instance, method, chain, head, frame, key: meta.idempotencyKey });
    }
    const trace =
      tracing.active === null ? null : CallTrace.start(instance.identity, method.name, meta?.traceparent ?? null);
    const call = new WorkerCall({ caller: this, ref, instance, method, chain, deadlineAt, trace, isKeyed: false });
    call.argumentBytesToCome = head.payloadLength - head.payload.length;
    this.#calls.set(ref, call);
    instance.calls.accept(call, frame);
    this.#host.countCall(call.isAnswered ? 'refused' : 'admitted');
  }

  /** A call whose instance is being placed waits for what comes of it, and then arrives once more. */
  #isHeld(binding: Elsewhere, { ref, slot, frame, meta }: Arriving): boolean {
    const arrival = this.#host.placements.arrival(binding.key, binding.epoch);
    if (arrival === undefined) return false;
    // What breaks the protocol does so now (I1): later it would end the turn of others who wait for the same instance.
    if (meta !== null) readMeta(meta);
    const call = new HeldCall(frame, this.#host, (error) => {
      this.#calls.delete(ref);
      if (error !== null) this.fail(ref, error);
      else if (isSame(this.#bindings.at(slot), binding)) this.#onCall(ref, slot, call.frame);
      else this.moved(ref);
    });
    if (!arrival.hold(call)) return false;
    this.#calls.set(ref, call);
    return true;
  }

  /** The call is the instance's; who asked for it hears only that it is. */
  #spawn(ref: number, spawning: Spawning): void {
    try {
      const request = new SpawnRequest({ ...spawning, caller: this, ref, room: this.#argumentRoom });
      this.#calls.set(ref, request);
      request.start(this.#host.wheel);
      this.#host.countCall('admitted');
    } catch (e) {
      this.#refuse(ref, encodeError(e));
    }
  }

  #followKey(ref: number, { instance, method, chain, head, frame, key }: KeyedArrival): void {
    const known = instance.keyed.find(key);
    const keyed = known ?? instance.keyed.begin(key);
    const follower = keyed.join(this, ref);
    if (!follower.isDone) {
      this.#calls.set(ref, follower);
      if (head.remainingMs > 0) follower.expireAfter(this.#host.wheel, head.remainingMs);
    }
    if (known !== null) return this.#host.countCall('admitted');
    const own = { caller: keyed, ref: 0, deadlineAt: null, trace: null, isKeyed: true };
    const call = new WorkerCall({ ...own, instance, method, chain });
    call.argumentBytesToCome = head.payloadLength - head.payload.length;
    keyed.begin(call, follower);
    instance.calls.accept(call, frame);
    this.#host.countCall(call.isAnswered ? 'refused' : 'admitted');
  }

  #onCredit(ref: number, frame: Buffer): void {
    // Read here: a container ends of a frame that it cannot read.
    const bytes = readCredit(frame);
    const call = this.#calls.get(ref);
    if (call === undefined) return;
    if (call instanceof WorkerCall) call.container?.credit(call, bytes);
    else call.credit(bytes);
  }

  #onCancel(ref: number, frame: Buffer): void {
    const call = this.#calls.get(ref);
    if (call === undefined) return;
    const reason = readCancel(frame);
    const byDeadline = reason === CancelReason.deadline;
    if (!(call instanceof WorkerCall)) return call.cancel(byDeadline);
    if (reason === CancelReason.abandoned) return call.instance.calls.cancel(call, CancelReason.abandoned);
    call.instance.calls.cancel(call, byDeadline ? CancelReason.deadline : CancelReason.caller);
  }

  #refuse(ref: number, error: Uint8Array): void {
    this.#host.countCall('refused');
    this.#sendError(ref, error);
  }

  #sendError(ref: number, error: Uint8Array): void {
    this.#link.writer.frame(FrameKind.Error, ref, 0, error);
    this.#flush();
  }
}
