import type { Channel } from '../../src/common/ports/channel.js';
import type {
  ContainerExit,
  ContainerFiles,
  ContainerProcess,
  ContainerStarter,
  OwnContainer,
} from '../../src/common/ports/container.js';
import { cancelError } from '../../src/runtime/container/cancel-error.js';
import { decodeArgs, encodeValue } from '../../src/wire/codec/codec.js';
import { encodeError } from '../../src/wire/errors.js';
import { decodeBody, encodeBody } from '../../src/wire/frames/frame-bodies.js';
import { readBody, readCall, readCancel, readCredit, readFrames } from '../../src/wire/frames/frame-reader.js';
import { FrameStream } from '../../src/wire/frames/frame-stream.js';
import { CallFlag, CancelReason, FrameKind, inlinePayloadBytes, type LoadBody } from '../../src/wire/frames/frames.js';
import { createChannelPair } from '../../src/wire/link/channel-pair.js';
import { until } from './until.js';

/** A call as it reached a container; it ends when the test says so. */
export class RunCall {
  readonly container: ScriptedContainer;
  readonly ref: number;
  readonly slot: number;
  readonly method: string;
  readonly remainingMs: number;
  readonly payloadLength: number;
  /** Sent before it had a slot. */
  readonly isQueued: boolean;
  readonly isReader: boolean;
  hasStopped = false;
  cancelled: CancelReason | null = null;
  /** Of a large result or a generator, given by the caller. */
  credit = 0;
  /** Of the payload, so far. */
  payload: Buffer;

  constructor(container: ScriptedContainer, from: { ref: number; slot: number; frame: Buffer }) {
    const head = readCall(from.frame);
    this.container = container;
    this.ref = from.ref;
    this.slot = from.slot;
    this.method = head.method;
    this.remainingMs = head.remainingMs;
    this.payloadLength = head.payloadLength;
    this.isQueued = (head.flags & CallFlag.queued) !== 0;
    this.isReader = (head.flags & CallFlag.reader) !== 0;
    this.payload = Buffer.from(head.payload);
  }

  get args(): unknown[] {
    return decodeArgs(this.payload);
  }

  get id(): string {
    return `${this.container.id}.${this.ref}`;
  }

  result(value: unknown): void {
    const bytes = encodeValue(value, 'result');
    this.part(bytes.length, bytes.subarray(0, inlinePayloadBytes));
  }

  /** The beginning of a result of `total` bytes. */
  part(total: number, bytes: Uint8Array): void {
    this.container.stream.writer.payload(FrameKind.Result, this.ref, 0, total, bytes);
    this.container.stream.flushNow();
    this.container.stopped(this);
  }

  chunk(bytes: Uint8Array): void {
    this.container.send(FrameKind.Chunk, { ref: this.ref, body: bytes });
  }

  /** Asks for more of the arguments. */
  ask(bytes: number): void {
    this.container.send(FrameKind.Credit, { ref: this.ref, body: u32(bytes) });
  }

  fail(error: unknown): void {
    this.container.send(FrameKind.Error, { ref: this.ref, body: encodeError(error) });
  }
}

/** An instance's calls that were sent ahead, and how many may run. */
interface Turn {
  readonly limit: number;
  readonly queued: RunCall[];
}

/**
 * The inside of a container as a script: it loads and activates at once and lets calls run, unless a test replaces one of its
 * handlers. Its process is only this object.
 */
export class ScriptedContainer implements ContainerProcess {
  readonly id: string;
  readonly pid = null;
  readonly memoryMb: number;
  /** What it was started with that others have not. */
  readonly own: ContainerFiles | OwnContainer | null;
  readonly channel: Channel;
  readonly stream: FrameStream;
  readonly exited: Promise<ContainerExit>;
  /** That have begun. */
  readonly calls: RunCall[] = [];
  /** By slot; a call that was sent ahead becomes one of `calls` when it begins. */
  readonly #turns = new Map<number, Turn>();
  /** Slots at which an instance is, or is coming, to life. */
  readonly slots = new Map<number, string>();
  /** What each instance was told when it had to leave; null: nothing, just forgotten. */
  readonly reasons: (string | null)[] = [];
  /** TunnelOpen, TunnelData and the like that the worker sent here. */
  readonly frames: { readonly kind: FrameKind; readonly ref: number; readonly body: Buffer }[] = [];
  kills = 0;
  /** What it was loaded with; null before. */
  loaded: LoadBody | null = null;
  hasExited = false;
  onLoad: () => void = () => this.send(FrameKind.Loaded, {});
  onActivate: (slot: number) => void = (slot) => this.send(FrameKind.Activated, { slot });
  onDeactivate: (slot: number, reason: string | null) => void = (slot, reason) =>
    this.send(FrameKind.Deactivated, { slot, body: encodeBody({ exitHook: reason === null ? 'skipped' : 'ran' }) });
  onCall: (call: RunCall) => void = () => undefined;
  onCancel: (call: RunCall, reason: CancelReason) => void = () => undefined;
  onLimit: () => void = () => undefined;
  /** False: a kill has to be waited for. */
  diesAtOnce = true;
  #cut: () => void;
  #exit: (exit: ContainerExit) => void = () => undefined;
  #output: ((line: { readonly stream: 'stdout' | 'stderr'; readonly text: string }) => void)[] = [];

  constructor(id: string, memoryMb: number, own: ContainerFiles | OwnContainer | null = null) {
    const pair = createChannelPair();
    this.id = id;
    this.memoryMb = memoryMb;
    this.own = own;
    this.channel = pair.left;
    this.stream = new FrameStream(pair.right);
    this.#cut = () => pair.cut();
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
    pair.right.open({
      onMessage: (message) => this.#receive(message),
      onDrain: () => this.stream.onDrain(),
      onClosed: () => undefined,
    });
  }

  limit(): void {
    this.onLimit();
  }

  kill(): void {
    this.kills += 1;
    if (this.diesAtOnce) this.die({ exitCode: null, signal: 'SIGKILL' });
  }

  onOutput(listener: (line: { readonly stream: 'stdout' | 'stderr'; readonly text: string }) => void): void {
    this.#output.push(listener);
  }

  print(text: string): void {
    for (const listener of this.#output) listener({ stream: 'stdout', text });
  }

  die(exit: Partial<ContainerExit> = {}): void {
    this.hasExited = true;
    this.#cut();
    this.#exit({ exitCode: 1, signal: null, outOfMemory: false, ...exit });
  }

  /** Its end of the socket only; its process goes on for a while. */
  hangUp(): void {
    this.#cut();
  }

  send(kind: FrameKind, { ref = 0, slot = 0, body }: { ref?: number; slot?: number; body?: Uint8Array }): void {
    this.stream.writer.frame(kind, ref, slot, body);
    this.stream.flushNow();
    const ended = kind === FrameKind.Error || kind === FrameKind.End;
    const call = ended ? this.calls.find((made) => made.ref === ref) : undefined;
    if (call !== undefined) this.stopped(call);
  }

  /** Its code has ended: the next one of its instance begins. */
  stopped(call: RunCall): void {
    if (call.hasStopped) return;
    call.hasStopped = true;
    this.#beginNext(call.slot);
  }

  /** How many wait in it for a slot. */
  queued(slot: number): number {
    return this.#turns.get(slot)?.queued.length ?? 0;
  }

  /** The n-th call that began in it, from 1. */
  async call(n: number): Promise<RunCall> {
    await until(() => this.calls.length >= n);
    return this.calls[n - 1] as RunCall;
  }

  #receive(message: Uint8Array): void {
    // biome-ignore lint/complexity/useMaxParams: as readFrames calls it
    readFrames(message, (kind, ref, slot, frame) => this.#onFrame(kind, { ref, slot, frame: Buffer.from(frame) }));
  }

  #onFrame(kind: FrameKind, from: { ref: number; slot: number; frame: Buffer }): void {
    const { ref, slot, frame } = from;
    const call = this.calls.find((made) => made.ref === ref);
    switch (kind) {
      case FrameKind.Load:
        this.loaded = decodeBody(readBody(frame)) as unknown as LoadBody;
        return this.onLoad();
      case FrameKind.Activate:
        this.slots.set(slot, String(decodeBody(readBody(frame))['id']));
        this.#turns.set(slot, { limit: this.loaded?.concurrentRequests ?? 0, queued: [] });
        return this.onActivate(slot);
      case FrameKind.Deactivate: {
        const reason = decodeBody(readBody(frame))['reason'] as string | null;
        this.reasons.push(reason);
        this.slots.delete(slot);
        return this.onDeactivate(slot, reason);
      }
      case FrameKind.Call: {
        const made = new RunCall(this, from);
        const turn = this.#turns.get(slot);
        if (!made.isQueued || turn === undefined) return this.#begin(made);
        turn.queued.push(made);
        return this.#beginNext(slot);
      }
      case FrameKind.Chunk:
        if (call !== undefined) call.payload = Buffer.concat([call.payload, readBody(frame)]);
        return;
      case FrameKind.Credit:
        if (call !== undefined) call.credit += readCredit(frame);
        return;
      case FrameKind.Cancel:
        if (call === undefined) return this.#giveUp(ref, readCancel(frame));
        if (readCancel(frame) === CancelReason.recalled) return;
        call.cancelled = readCancel(frame);
        return this.onCancel(call, call.cancelled);
      default:
        this.frames.push({ kind, ref, body: Buffer.from(readBody(frame)) });
    }
  }

  #begin(call: RunCall): void {
    this.calls.push(call);
    this.onCall(call);
  }

  #beginNext(slot: number): void {
    const turn = this.#turns.get(slot);
    const holders = this.calls.filter((call) => call.slot === slot && !call.hasStopped && !call.isReader).length;
    if (turn === undefined || holders >= turn.limit) return;
    const next = turn.queued.shift();
    if (next !== undefined) this.#begin(next);
  }

  /** A call that has not begun is cancelled, or asked back. */
  #giveUp(ref: number, reason: CancelReason): void {
    for (const { queued } of this.#turns.values()) {
      const index = queued.findIndex((call) => call.ref === ref);
      if (index < 0) continue;
      queued.splice(index, 1);
      if (reason === CancelReason.recalled) this.send(FrameKind.Moved, { ref });
      else this.send(FrameKind.Error, { ref, body: encodeError(cancelError(`call ${ref}`, reason, 'not-run')) });
    }
  }
}

/** Starts scripted containers; each is set up by `prepare` before anyone has it. */
export class ScriptedStarter implements ContainerStarter {
  readonly started: ScriptedContainer[] = [];
  /** Awaited before a container is handed over; may throw. */
  beforeStart: (nth: number, own: ContainerFiles | null) => Promise<void> = async () => undefined;
  prepare: (container: ScriptedContainer) => void = () => undefined;
  #asked = 0;

  /** Containers come up only when the returned function was called. */
  hold(): () => void {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    this.beforeStart = () => held;
    return letGo;
  }

  /** That were asked for, also those that did not come up. */
  get asked(): number {
    return this.#asked;
  }

  get running(): ScriptedContainer[] {
    return this.started.filter((container) => !container.hasExited);
  }

  async start(memoryMb: number, own?: ContainerFiles | OwnContainer): Promise<ContainerProcess> {
    this.#asked += 1;
    const nth = this.#asked;
    await this.beforeStart(nth, own ?? null);
    const container = new ScriptedContainer(`c${nth}`, memoryMb, own ?? null);
    this.prepare(container);
    this.started.push(container);
    return container;
  }

  /** The n-th container that came up, from 1. */
  async container(n: number): Promise<ScriptedContainer> {
    await until(() => this.started.length >= n);
    return this.started[n - 1] as ScriptedContainer;
  }
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
