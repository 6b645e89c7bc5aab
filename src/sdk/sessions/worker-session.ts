import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { decodeError } from '../../wire/errors.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import { readBody, readCredit, readPayload } from '../../wire/frames/frame-reader.js';
import {
  type BindBody,
  CallFlag,
  type CancelReason,
  FrameKind,
  inlinePayloadBytes,
  type MakeBody,
} from '../../wire/frames/frames.js';
import { RefTable } from '../../wire/frames/ref-table.js';
import type { ClientLink } from '../../wire/link/link.js';
import { clientClosed, deadlineExceeded } from '../calls/call-errors.js';
import { IncomingPayload } from '../calls/incoming-payload.js';
import type { Placement } from '../calls/placement.js';
import type { RemoteCall } from '../calls/remote-call.js';
import { AskedNames, type NameAnswered } from './asked-names.js';

/** More than this is not written while the worker does not read. */
const fullBytes = 8_388_608;
const noBytes: Uint8Array = new Uint8Array(0);
const nothing = null as Uint8Array | null;

/**
 * This client's calls at one worker, over one link.
 *
 * I1. A call is in `#calls` from its first frame until its last one; frames for others are dropped.
 * I2. When the link is lost every call learns whether it can have reached the worker, and the session is over.
 */
export class WorkerSession {
  readonly #calls = new RefTable<RemoteCall>();
  readonly #names = new AskedNames((slot) => this.unbind(slot));
  readonly #freeSlots: number[] = [];
  /** Written into the link at once: one object serves all calls. */
  readonly #outgoing = { ref: 0, slot: 0, flags: 0, remainingMs: 0, method: '', meta: nothing, payload: noBytes };
  /** Calls that wait until the link has room, in order. */
  readonly #backlog: { readonly call: RemoteCall; readonly slot: number; readonly ref: number }[] = [];
  /** Calls with credit for chunks that wait until the link has room. */
  readonly #stalled = new Set<RemoteCall>();
  #link: ClientLink | null = null;
  #lastRef = 0;
  #lastSlot = 0;

  /** False once its link is lost: its calls were told, a new session is needed. */
  get isOpen(): boolean {
    return this.#link !== null;
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** The link calls back, so it is made after its session. */
  start(link: ClientLink): void {
    this.#link = link;
  }

  /** Asks for a new name (S13), which has a slot when it is made. Gives what takes the question back. */
  make(body: MakeBody, answered: NameAnswered): () => void {
    const link = this.#link;
    const isFull = link === null || (link.isBlocked && link.bufferedBytes > fullBytes);
    return this.#names.ask(isFull ? null : link, { ref: ++this.#lastRef, slot: this.#freeSlot(), body, answered });
  }

  #freeSlot(): number {
    return this.#freeSlots.pop() ?? ++this.#lastSlot;
  }

  /** Names the instance by a slot from now on. */
  bind(placement: Placement): number {
    const slot = this.#freeSlot();
    const { key, epoch, capability, handle, pin } = placement;
    const { generation } = handle;
    const body: BindBody = { key, generation, epoch, capability, ...(pin === null ? {} : { pin }) };
    this.#link?.writer.frame(FrameKind.Bind, 0, slot, encodeBody(body));
    return slot;
  }

  /** The slot may name another instance; the worker learns it by the next bind. */
  unbind(slot: number): void {
    this.#freeSlots.push(slot);
  }

  /** The hot path: no promise, no closure, one write into the link's batch. */
  send(call: RemoteCall, slot: number, remainingMs: number): void {
    const link = this.#link;
    call.session = this;
    call.ref = ++this.#lastRef;
    this.#calls.set(call.ref, call);
    // A session that is over has told its calls so before: nobody sends here then.
    if (link === null) return;
    if (this.#backlog.length > 0 || (link.isBlocked && link.bufferedBytes > fullBytes)) {
      call.phase = 'queued';
      call.batch = Number.POSITIVE_INFINITY;
      this.#backlog.push({ call, slot, ref: call.ref });
      return;
    }
    this.#write(link, { call, slot, remainingMs });
    if (this.#calls.size === 1) link.flushThisTick();
    else link.flushSoon();
  }

  cancel(call: RemoteCall, reason: CancelReason): void {
    // In its place, not in front: it must not overtake its own call.
    this.#link?.writer.frame(FrameKind.Cancel, call.ref, 0, Uint8Array.of(reason));
    this.#link?.flushNow();
  }

  /** From the link: all that waited for the worker to read has been sent. */
  onDrain(): void {
    const backlog = this.#backlog.splice(0);
    const stalled = [...this.#stalled];
    this.#stalled.clear();
    for (const call of stalled) this.#sendChunks(call);
    for (const [index, { call, slot, ref }] of backlog.entries()) {
      const link = this.#link;
      if (link === null || link.bufferedBytes > fullBytes) {
        this.#backlog.push(...backlog.slice(index));
        break;
      }
      if (call.ref !== ref || !this.#calls.has(ref)) continue;
      const remainingMs = call.remainingMs();
      if (remainingMs === null) call.fail(deadlineExceeded(call.what, 'not-run'));
      else this.#write(link, { call, slot, remainingMs });
    }
    this.#link?.flushSoon();
  }

  credit(call: RemoteCall, bytes: number): void {
    const body = Buffer.allocUnsafe(4);
    body.writeUInt32LE(bytes);
    this.#link?.writer.urgent(FrameKind.Credit, call.ref, body);
    this.#link?.flushSoon();
  }

  /** Its answer no longer matters. */
  forget(call: RemoteCall): void {
    this.#stalled.delete(call);
    if (this.#calls.delete(call.ref)) call.target.landed();
  }

  /** From the link. */
  onFrame(kind: FrameKind, ref: number, frame: Buffer): void {
    const call = this.#calls.get(ref);
    if (call === undefined) return this.#names.onFrame(kind, ref, frame);
    try {
      this.#onAnswer(kind, call, frame);
    } catch (e) {
      // An answer that breaks the protocol costs its own call only.
      this.forget(call);
      call.fail(e);
    }
  }

  /** From the link: the session is over. @param lastSentBatch what may have reached the worker */
  onLost(error: unknown, lastSentBatch: number): void {
    const cause = isHoldfastError(error)
      ? error
      : new HoldfastError('Unavailable', `the connection to the worker was lost: ${String(error)}`, { cause: error });
    const calls = this.#end();
    for (const call of calls) call.target.landed();
    for (const call of calls) call.lost(call.batch > lastSentBatch, cause);
    this.#names.end();
  }

  close(): void {
    const link = this.#link;
    for (const call of this.#end()) {
      call.target.landed();
      call.fail(clientClosed(call.what, 'unknown'));
    }
    this.#names.end();
    link?.close();
  }

  #end(): RemoteCall[] {
    this.#link = null;
    this.#backlog.length = 0;
    this.#stalled.clear();
    const calls = this.#calls.values();
    this.#calls.clear();
    return calls;
  }

  #onAnswer(kind: FrameKind, call: RemoteCall, frame: Buffer): void {
    switch (kind) {
      case FrameKind.Result:
      case FrameKind.Yield:
        return this.#onPayload(kind, call, frame);
      case FrameKind.Chunk:
        return this.#onChunk(call, readBody(frame));
      case FrameKind.Credit:
        return this.#onCredit(call, readCredit(frame));
      case FrameKind.End:
        this.#answered(call);
        return call.ended();
      case FrameKind.Error:
        this.#answered(call);
        return call.refused(decodeError(readBody(frame)));
      case FrameKind.Moved:
        this.forget(call);
        return call.moved();
      default:
        throw new HoldfastError('Internal', `the worker answered a call with a frame of kind ${kind}`, {
          outcome: 'unknown',
        });
    }
  }

  #onPayload(kind: FrameKind, call: RemoteCall, frame: Buffer): void {
    const { total, bytes: first } = readPayload(frame);
    const isYield = kind === FrameKind.Yield;
    if (isYield) call.stream?.arrived(first.length, true);
    if (first.length === total) {
      if (isYield) return this.#onValue(call, Buffer.from(first));
      this.#answered(call);
      return call.answered(first);
    }
    call.incoming = new IncomingPayload(total, first);
    this.#grant(call, call.incoming);
  }

  #onChunk(call: RemoteCall, chunk: Buffer): void {
    const incoming = call.incoming;
    if (incoming === null)
      throw new HoldfastError('Internal', 'the worker sent a chunk of nothing', { outcome: 'unknown' });
    incoming.add(chunk);
    call.stream?.arrived(chunk.length, false);
    if (!incoming.isComplete) return this.#grant(call, incoming);
    call.incoming = null;
    if (call.stream !== null) return this.#onValue(call, incoming.bytes);
    this.#answered(call);
    call.answered(incoming.bytes, true);
  }

  #onValue(call: RemoteCall, bytes: Uint8Array): void {
    call.target.settled();
    call.stream?.push(bytes);
  }

  /** Results have credit of their own, values of a generator share the stream's. */
  #grant(call: RemoteCall, incoming: IncomingPayload): void {
    if (call.stream !== null) return call.stream.advance();
    const bytes = incoming.takeCredit();
    if (bytes > 0) this.credit(call, bytes);
  }

  #onCredit(call: RemoteCall, bytes: number): void {
    call.allowedBytes = Math.min(call.payload.length, call.allowedBytes + bytes);
    this.#sendChunks(call);
  }

  /** Credit is the container's, room on the link is the network's: both are needed. */
  #sendChunks(call: RemoteCall): void {
    const link = this.#link;
    if (link === null || !this.#calls.has(call.ref)) return;
    while (call.sentBytes < call.allowedBytes) {
      if (link.isBlocked && link.bufferedBytes > fullBytes) {
        this.#stalled.add(call);
        return;
      }
      const end = Math.min(call.allowedBytes, call.sentBytes + inlinePayloadBytes);
      link.writer.frame(FrameKind.Chunk, call.ref, 0, call.payload.subarray(call.sentBytes, end));
      call.sentBytes = end;
      link.flushSoon();
    }
  }

  #write(
    link: ClientLink,
    { call, slot, remainingMs }: { readonly call: RemoteCall; readonly slot: number; readonly remainingMs: number },
  ): void {
    const { plan, payload, meta } = call;
    call.phase = 'sent';
    call.sentBytes = Math.min(payload.length, inlinePayloadBytes);
    call.allowedBytes = call.sentBytes;
    call.batch = link.nextBatch;
    const outgoing = this.#outgoing;
    outgoing.ref = call.ref;
    outgoing.slot = slot;
    outgoing.flags = plan.generator ? CallFlag.generator : 0;
    outgoing.remainingMs = remainingMs;
    outgoing.method = plan.name;
    outgoing.meta = meta === null ? null : encodeBody(meta);
    outgoing.payload = payload;
    link.writer.call(outgoing);
  }

  #answered(call: RemoteCall): void {
    call.target.settled();
    this.forget(call);
  }
}
