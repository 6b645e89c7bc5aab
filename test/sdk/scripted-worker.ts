import { systemClock } from '../../src/adapters/system/clock.js';
import type { HoldfastError } from '../../src/common/errors.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { decodeArgs, encodeValue } from '../../src/wire/codec/codec.js';
import { encodeError } from '../../src/wire/errors.js';
import { decodeBody, encodeBody, readMake, readMeta } from '../../src/wire/frames/frame-bodies.js';
import { readBody, readCall, readCancel, readCredit } from '../../src/wire/frames/frame-reader.js';
import {
  CallFlag,
  type CallMeta,
  type CancelReason,
  chunkWindowBytes,
  FrameKind,
  inlinePayloadBytes,
  type MadeBody,
  type MakeBody,
} from '../../src/wire/frames/frames.js';
import { type ChannelPair, createChannelPair } from '../../src/wire/link/channel-pair.js';
import { LinkHost, type ServerLink } from '../../src/wire/link/link-host.js';

/** A call as the scripted worker received it; it answers when the test says so. */
export class ReceivedCall {
  readonly method: string;
  readonly remainingMs: number;
  readonly isGenerator: boolean;
  readonly meta: CallMeta | null;
  readonly key: string;
  readonly epoch: number;
  readonly worker: ScriptedWorker;
  cancelled: CancelReason | null = null;
  credit = 0;
  /** The last result or value has gone out whole. */
  isSent = false;
  /** All that was ever given. */
  creditGiven = 0;
  onCredit: () => void = () => undefined;
  onCancel: () => void = () => undefined;
  #payload: Buffer;
  readonly #length: number;
  readonly #link: ServerLink;
  readonly #ref: number;

  constructor(worker: ScriptedWorker, link: ServerLink, from: { ref: number; slot: number; frame: Buffer }) {
    const head = readCall(from.frame);
    const bound = worker.bindings.get(from.slot);
    this.worker = worker;
    this.method = head.method;
    this.remainingMs = head.remainingMs;
    this.isGenerator = (head.flags & CallFlag.generator) !== 0;
    this.meta = head.meta === null ? null : readMeta(head.meta);
    this.key = bound?.key ?? '';
    this.epoch = bound?.epoch ?? 0;
    this.#payload = Buffer.from(head.payload);
    this.#length = head.payloadLength;
    this.#link = link;
    this.#ref = from.ref;
    if (!this.isComplete) this.#send(FrameKind.Credit, u32(chunkWindowBytes));
  }

  get isComplete(): boolean {
    return this.#payload.length === this.#length;
  }

  get args(): unknown[] {
    return decodeArgs(this.#payload);
  }

  chunk(bytes: Buffer): void {
    this.#payload = Buffer.concat([this.#payload, bytes]);
    if (!this.isComplete) this.#send(FrameKind.Credit, u32(bytes.length));
  }

  /** A large one goes on as the client gives credit. */
  result(value: unknown): void {
    this.#value(FrameKind.Result, value);
  }

  yields(value: unknown): void {
    this.#value(FrameKind.Yield, value);
  }

  end(): void {
    this.#send(FrameKind.End);
  }

  moved(): void {
    this.#send(FrameKind.Moved);
  }

  fail(error: HoldfastError | Uint8Array): void {
    this.#send(FrameKind.Error, error instanceof Uint8Array ? error : encodeError(error));
  }

  #value(kind: typeof FrameKind.Result | typeof FrameKind.Yield, value: unknown): void {
    const bytes = Buffer.from(encodeValue(value));
    let sent = Math.min(bytes.length, inlinePayloadBytes);
    this.#link.writer.payload(kind, this.#ref, 0, bytes.length, bytes.subarray(0, sent));
    this.#link.flushSoon();
    this.isSent = sent === bytes.length;
    this.onCredit = () => {
      while (sent < bytes.length && this.credit > 0) {
        const end = Math.min(bytes.length, sent + inlinePayloadBytes, sent + this.credit);
        this.#send(FrameKind.Chunk, bytes.subarray(sent, end));
        this.credit -= end - sent;
        sent = end;
      }
      this.isSent = sent === bytes.length;
    };
    this.onCredit();
  }

  #send(kind: FrameKind, body?: Uint8Array): void {
    this.#link.writer.frame(kind, this.#ref, 0, body);
    this.#link.flushSoon();
  }
}

/** A worker without instances: what it answers is the test's to say. */
export class ScriptedWorker {
  readonly address: string;
  readonly bindings = new Map<number, { key: string; epoch: number }>();
  readonly calls: ReceivedCall[] = [];
  readonly #host: LinkHost;
  readonly #byRef = new Map<number, ReceivedCall>();
  #channels: ChannelPair[] = [];
  #waiting: { count: number; resolve: () => void }[] = [];
  onCall: (call: ReceivedCall) => void = () => undefined;
  /** Names that it was asked for. */
  readonly asked: MakeBody[] = [];
  /** Null: ask a router; `silence`: it does not answer. */
  onMake: (ask: MakeBody) => MadeBody | null | 'silence' = () => null;
  isAccepting = true;

  constructor(address: string) {
    this.address = address;
    this.#host = new LinkHost({
      bootId: `boot of ${address}`,
      clock: systemClock,
      onSession: (link) => this.#session(link),
    });
  }

  connect(): Channel {
    const pair = createChannelPair();
    this.#channels.push(pair);
    if (this.isAccepting) this.accept(pair.right);
    else pair.right.open({ onMessage: () => pair.cut(), onDrain: () => undefined, onClosed: () => undefined });
    return pair.left;
  }

  accept(channel: Channel): void {
    this.#host.accept(channel);
  }

  /** Every connection breaks; the worker stays, and goes on with sessions that come back. */
  cut(): void {
    const channels = this.#channels;
    this.#channels = [];
    for (const pair of channels) pair.cut();
  }

  /** As if the process had died: it answers nobody until it is told to again. */
  die(): void {
    this.isAccepting = false;
    this.cut();
  }

  /** Resolves when that many calls have arrived, whole or in part. */
  received(count: number): Promise<void> {
    if (this.calls.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  #session(link: ServerLink) {
    return {
      onGone: () => undefined,
      // biome-ignore lint/complexity/useMaxParams: as the link has it
      onFrame: (kind: FrameKind, ref: number, slot: number, frame: Buffer) => {
        switch (kind) {
          case FrameKind.Bind: {
            const { key, epoch } = decodeBody(readBody(frame));
            this.bindings.set(slot, { key: String(key), epoch: Number(epoch) });
            return;
          }
          case FrameKind.Make:
            return this.#make(link, { ref, slot }, readMake(readBody(frame)));
          case FrameKind.Call:
            return this.#receive(ref, new ReceivedCall(this, link, { ref, slot, frame }));
          case FrameKind.Chunk:
            return this.#chunk(ref, Buffer.from(readBody(frame)));
          case FrameKind.Credit: {
            const call = this.#byRef.get(ref);
            if (call === undefined) return;
            const bytes = readCredit(frame);
            call.credit += bytes;
            call.creditGiven += bytes;
            return call.onCredit();
          }
          case FrameKind.Cancel: {
            const call = this.#byRef.get(ref);
            if (call === undefined) return;
            call.cancelled = readCancel(frame);
            return call.onCancel();
          }
        }
      },
    };
  }

  #make(link: ServerLink, { ref, slot }: { ref: number; slot: number }, ask: MakeBody): void {
    this.asked.push(ask);
    const made = this.onMake(ask);
    if (made === 'silence') return;
    if (made !== null) this.bindings.set(slot, made);
    if (made === null) link.writer.frame(FrameKind.Moved, ref, 0);
    else link.writer.frame(FrameKind.Made, ref, 0, encodeBody(made));
    link.flushSoon();
  }

  #receive(ref: number, call: ReceivedCall): void {
    this.#byRef.set(ref, call);
    this.calls.push(call);
    if (call.isComplete) this.onCall(call);
    for (const waiter of this.#waiting.filter(({ count }) => this.calls.length >= count)) waiter.resolve();
    this.#waiting = this.#waiting.filter(({ count }) => this.calls.length < count);
  }

  #chunk(ref: number, bytes: Buffer): void {
    const call = this.#byRef.get(ref);
    call?.chunk(bytes);
    if (call?.isComplete) this.onCall(call);
  }
}

/** Answers every call with its method, arguments and epoch. */
export function echo(call: ReceivedCall): void {
  call.result({ method: call.method, args: call.args, epoch: call.epoch });
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
