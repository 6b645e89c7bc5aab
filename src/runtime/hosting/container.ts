import type { Clock } from '../../common/clock.js';
import type { ChannelHandlers } from '../../common/ports/channel.js';
import type { ContainerExit, ContainerProcess } from '../../common/ports/container.js';
import { decodeError } from '../../wire/errors.js';
import { creditBody, decodeBody, encodeBody } from '../../wire/frames/frame-bodies.js';
import { readBody, readFrames } from '../../wire/frames/frame-reader.js';
import { FrameStream } from '../../wire/frames/frame-stream.js';
import {
  type ActivateBody,
  type CancelReason,
  callOffsets,
  type DeactivateBody,
  type DeactivatedBody,
  FrameKind,
  frameOffsets,
  type LoadBody,
} from '../../wire/frames/frames.js';
import { RefTable } from '../../wire/frames/ref-table.js';
import { answerPart } from '../calls/call-flow.js';
import type { WorkerCall } from '../calls/worker-call.js';
import type { Instance } from '../instances/instance.js';
import { diedStarting, notDetachable } from '../instances/instance-errors.js';
import type { ContainerEvents, LogOrigin } from './container-events.js';
import { ContainerWaits } from './container-waits.js';
import { exitReport } from './exit-report.js';
import type { LoadedClass } from './loaded-class.js';

/** Of one that is lent. */
type Borrower = Pick<ChannelHandlers, 'onMessage' | 'onDrain'>;

const dyingMs = 500;

/**
 * A worker's end of one container: numbers its calls and instances, and forwards frames without looking at payloads.
 *
 * I1. A call is in `#calls` from its start until the container's last frame for it, or until the container is dead.
 * I2. Frames for a call that is not there are dropped: it was answered, or its instance was fenced.
 */
export class Container {
  readonly id: string;
  /** What it was loaded for. */
  #class = { app: '', className: '' };
  readonly #process: ContainerProcess;
  readonly #stream: FrameStream;
  readonly #calls = new RefTable<WorkerCall>();
  readonly #instances = new Map<number, Instance>();
  readonly #waits = new ContainerWaits();
  /** Another worker, which speaks with it: what it says is read there. */
  #borrower: Borrower | null = null;
  #events: ContainerEvents | null = null;
  #lastRef = 0;
  #lastSlot = 0;
  #isCutOff = false;
  #isEndedHere = false;
  #exit: ContainerExit | null = null;

  constructor(process: ContainerProcess, clock: Clock) {
    this.id = process.id;
    this.#process = process;
    this.#stream = new FrameStream(process.channel);
    process.channel.open({
      onMessage: (message) => this.#receive(message),
      onDrain: () => {
        this.#stream.onDrain();
        this.#borrower?.onDrain();
      },
      // It is dying, and how is for its exit to tell; one that only closed its socket is ended.
      onClosed: () => {
        this.#isCutOff = true;
        this.#stream.close();
        clock.after(dyingMs, () => this.kill());
      },
    });
    void process.exited.then((exit) => this.#died(exit));
  }

  /** False: it is dead, or dying without its exit being known yet. */
  get isUsable(): boolean {
    return this.#exit === null && !this.#isCutOff;
  }

  /** Bytes that wait because it does not read. */
  get bufferedBytes(): number {
    return this.#stream.bufferedBytes;
  }

  /** Calls run in it, or their answers are not sent in full. */
  get hasCalls(): boolean {
    return this.#calls.size > 0;
  }

  /** @throws ActivationFailed or OutOfMemory where it has died */
  checkAlive(): void {
    if (this.#exit !== null) throw diedStarting(this.#exit);
  }

  listen(events: ContainerEvents): void {
    this.#events = events;
    this.#process.onOutput((line) => {
      const level = line.stream === 'stderr' ? 'error' : 'info';
      events.onLog(this.#origin(null), encodeBody({ level, message: line.text, source: line.stream }));
    });
    if (this.#exit !== null) events.onDied(this.#exit, null);
  }

  /** It has the class, whoever gave it that. */
  loadedFor({ app, manifest }: LoadedClass): void {
    this.#class = { app, className: manifest.name };
  }

  /** From now on another worker speaks with its process: no call and no instance of this one may be in it. */
  lend(borrower: Borrower): ContainerProcess {
    this.#borrower = borrower;
    return this.#process;
  }

  /** Puts limits on it and loads the bundle. @throws ActivationFailed when the bundle throws or the container dies */
  load(klass: LoadedClass, body: LoadBody): Promise<void> {
    const { memoryMb, cpu } = klass.options;
    this.loadedFor(klass);
    if (this.#exit !== null) return Promise.reject(diedStarting(this.#exit));
    this.#process.limit({ memoryMb, cpu });
    const loaded = this.#waits.load();
    this.#control(FrameKind.Load, 0, encodeBody(body));
    return loaded;
  }

  /** Constructs the instance and runs its `enter` hooks. @throws ActivationFailed */
  activate(instance: Instance, body: ActivateBody): { readonly slot: number; readonly ready: Promise<void> } {
    const slot = ++this.#lastSlot;
    this.#instances.set(slot, instance);
    if (this.#exit !== null) return { slot, ready: Promise.reject(diedStarting(this.#exit)) };
    const ready = this.#waits.enter(slot);
    this.#control(FrameKind.Activate, slot, encodeBody(body));
    return { slot, ready };
  }

  /** Runs its `exit` hooks and forgets it. Never rejects: a container that dies meanwhile skipped them. */
  deactivate(slot: number, body: DeactivateBody): Promise<DeactivatedBody> {
    if (this.#exit !== null || !this.#instances.has(slot)) {
      this.#instances.delete(slot);
      return Promise.resolve({ exitHook: 'skipped' });
    }
    const exited = this.#waits.exit(slot, () => this.#instances.delete(slot));
    this.#control(FrameKind.Deactivate, slot, encodeBody(body));
    return exited;
  }

  /** @param frame its `Call` frame; copied before this returns */
  start(call: WorkerCall, frame: Buffer, remainingMs: number): void {
    const wasIdle = this.#calls.size === 0;
    call.container = this;
    call.containerRef = ++this.#lastRef;
    this.#calls.set(call.containerRef, call);
    frame[frameOffsets.body + callOffsets.flags] = call.flags;
    frame.writeUInt32LE(remainingMs, frameOffsets.body + callOffsets.remainingMs);
    this.#stream.writer.forward(frame, call.containerRef, call.slot);
    if (wasIdle) this.#stream.flushThisTick();
    else this.#stream.flushSoon();
  }

  /** A chunk of the arguments, which the container has asked for. */
  chunk(call: WorkerCall, frame: Buffer): void {
    if (!this.#calls.has(call.containerRef)) return;
    this.#stream.writer.forward(frame, call.containerRef, 0);
    this.#stream.flushSoon();
  }

  /** The caller takes that much more of the answer. */
  credit(call: WorkerCall, bytes: number): void {
    if (!this.#calls.has(call.containerRef)) return;
    call.answerCredit += bytes;
    this.#stream.writer.urgent(FrameKind.Credit, call.containerRef, creditBody(bytes));
    this.#stream.flushSoon();
  }

  cancel(call: WorkerCall, reason: CancelReason): void {
    if (!this.#calls.has(call.containerRef)) return;
    this.#stream.writer.frame(FrameKind.Cancel, call.containerRef, 0, Uint8Array.of(reason));
    this.#stream.flushNow();
  }

  /** A frame of a tunnel, or an answer. */
  reply(kind: FrameKind, ref: number, body: Uint8Array): boolean {
    this.#stream.writer.frame(kind, ref, 0, body);
    this.#stream.flushSoon();
    return !this.#stream.isBlocked;
  }

  kill(): void {
    if (this.#exit !== null) return;
    this.#isEndedHere ||= !this.#isCutOff;
    // Another worker's takes a while to die: what it still says brings it no calls.
    this.#isCutOff = true;
    this.#process.kill();
  }

  /** Resolves when the process is gone: none of its code runs any more. */
  async stopped(): Promise<void> {
    this.kill();
    await this.#process.exited;
  }

  /** The same, and what it has left is put away: with volumes that is a commit, which can take long. What could not be, else null. */
  async killed(): Promise<string | null> {
    await this.stopped();
    return (await this.#process.settled) ?? null;
  }

  get hasVolumes(): boolean {
    return this.#process.hasVolumes ?? false;
  }

  #control(kind: FrameKind, slot: number, body: Uint8Array): void {
    this.#stream.writer.frame(kind, 0, slot, body);
    this.#stream.flushThisTick();
  }

  #receive(message: Uint8Array): void {
    if (this.#exit !== null) return; // what a dead process had still said is too late for everybody
    if (this.#borrower !== null) return this.#borrower.onMessage(message);
    try {
      // biome-ignore lint/complexity/useMaxParams: no object per frame
      readFrames(message, (kind, ref, slot, frame) => this.#onFrame(kind, ref, slot, frame));
    } catch {
      // What a container says is hostile input: malformed frames end it, and only it.
      this.#process.kill();
    }
  }

  // biome-ignore lint/complexity/useMaxParams: no object per frame
  #onFrame(kind: FrameKind, ref: number, slot: number, frame: Buffer): void {
    const call = this.#calls.get(ref);
    switch (kind) {
      case FrameKind.Result:
      case FrameKind.Yield:
      case FrameKind.Chunk:
      case FrameKind.Credit:
      case FrameKind.Error:
      case FrameKind.Moved:
      case FrameKind.End:
        if (call !== undefined) this.#onAnswer(kind, call, frame);
        return;
      case FrameKind.Detach:
        return call?.instance.calls.detached(call);
      case FrameKind.Detached:
        if (call === undefined) return;
        if (!call.isDetached || !call.isAnswered) throw notDetachable();
        this.#calls.delete(ref);
        return call.instance.calls.detachedEnded(call);
      case FrameKind.Loaded:
        return this.#waits.loaded()?.resolve();
      case FrameKind.LoadFailed:
        return this.#waits.loaded()?.reject(decodeError(readBody(frame)));
      case FrameKind.Activated:
        return this.#waits.entered(slot)?.resolve();
      case FrameKind.ActivationFailed:
        return this.#waits.entered(slot)?.reject(decodeError(readBody(frame)));
      case FrameKind.Deactivated:
        return this.#waits.exited(slot, exitReport(decodeBody(readBody(frame))));
      case FrameKind.Log:
        return this.#events?.onLog(this.#origin(this.#instances.get(slot) ?? null), readBody(frame));
      default:
        this.#events?.onRequest(kind, { ref, instance: this.#instances.get(slot) ?? null }, readBody(frame));
    }
  }

  /** The instance is told when the code has stopped and when the last frame has passed; both may be the same one. */
  #onAnswer(kind: FrameKind, call: WorkerCall, frame: Buffer): void {
    const { hasStopped, isLast } = answerPart(kind, call, frame);
    if (kind === FrameKind.Moved) call.instance.calls.givenBack(call);
    if (isLast && !call.isDetached) this.#calls.delete(call.containerRef);
    if (kind === FrameKind.Moved) return;
    if (!call.isAnswered) call.caller.forward(frame, call.ref);
    if (hasStopped) call.instance.calls.ended(call, isLast);
  }

  /** Lines of a shared container belong to no instance in particular. */
  #origin(instance: Instance | null): LogOrigin {
    const [only] = this.#instances.size === 1 ? this.#instances.values() : [];
    return { ...this.#class, instance: instance ?? only ?? null };
  }

  #died(exit: ContainerExit): void {
    this.#exit = exit;
    const calls = this.#calls.values();
    // Those too whose `exit` hooks are waited for, which learn now that they did not run: of one that was lent code may go on (P7).
    const instances = [...this.#instances.values()];
    this.#waits.died(diedStarting(exit));
    this.#calls.clear();
    this.#instances.clear();
    for (const instance of instances) instance.containerDied(this, this.#process.gone ?? null);
    for (const call of calls) call.instance.calls.lost(call, exit);
    this.#events?.onDied(exit, { ...this.#class, instances, calls: calls.length, isEndedHere: this.#isEndedHere });
  }
}
