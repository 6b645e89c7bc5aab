import { systemClock } from '../../src/adapters/system/clock.js';
import type { HoldfastError } from '../../src/common/errors.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { decodeValue, encodeArgs } from '../../src/wire/codec/codec.js';
import { decodeError } from '../../src/wire/errors.js';
import { encodeBody } from '../../src/wire/frames/frame-bodies.js';
import { readBody, readPayload } from '../../src/wire/frames/frame-reader.js';
import { type BindBody, CallFlag, type CallMeta, CancelReason, FrameKind } from '../../src/wire/frames/frames.js';
import { type ChannelPair, createChannelPair } from '../../src/wire/link/channel-pair.js';
import { ClientLink } from '../../src/wire/link/link.js';
import { u32 } from './scripted-container.js';
import { until } from './until.js';

/** Everything that came back for one call. */
export class Answers {
  readonly ref: number;
  readonly kinds: FrameKind[] = [];
  readonly parts: Buffer[] = [];
  /** Credit for more of the arguments. */
  credit = 0;
  #error: HoldfastError | null = null;
  #total = 0;

  constructor(ref: number) {
    this.ref = ref;
  }

  take(kind: FrameKind, frame: Buffer): void {
    if (kind === FrameKind.Credit) {
      this.credit += readBody(frame).readUInt32LE();
      return;
    }
    this.kinds.push(kind);
    if (kind === FrameKind.Error) this.#error = decodeError(readBody(frame));
    if (kind === FrameKind.Chunk) this.parts.push(Buffer.from(readBody(frame)));
    if (kind === FrameKind.Result || kind === FrameKind.Yield) {
      const { total, bytes } = readPayload(frame);
      this.#total = total;
      this.parts.push(Buffer.from(bytes));
    }
  }

  get bytes(): number {
    return this.parts.reduce((sum, part) => sum + part.length, 0);
  }

  get isDone(): boolean {
    const isWhole = this.kinds.includes(FrameKind.Result) && this.bytes >= this.#total;
    return isWhole || [FrameKind.Error, FrameKind.Moved, FrameKind.End].some((kind) => this.kinds.includes(kind));
  }

  get hasMoved(): boolean {
    return this.kinds.includes(FrameKind.Moved);
  }

  /** The result. @throws the error that it was answered with */
  async value(): Promise<unknown> {
    await until(() => this.isDone);
    if (this.#error !== null) throw this.#error;
    if (this.hasMoved) throw new Error(`call ${this.ref} was moved`);
    return decodeValue(Buffer.concat(this.parts));
  }

  async answered(): Promise<this> {
    await until(() => this.isDone);
    return this;
  }

  async error(): Promise<HoldfastError> {
    await until(() => this.isDone);
    if (this.#error === null) throw new Error(`call ${this.ref} was answered with ${this.kinds.join(', ')}`);
    return this.#error;
  }

  async moved(): Promise<void> {
    await until(() => this.isDone);
    if (!this.hasMoved) throw this.#error ?? new Error(`call ${this.ref} was answered with ${this.kinds.join(', ')}`);
  }
}

interface CallOptions {
  readonly slot?: number;
  readonly meta?: CallMeta;
  readonly remainingMs?: number;
  readonly generator?: boolean;
  /** All of the arguments, encoded; their beginning goes with the call. */
  readonly payload?: Uint8Array;
}

let clients = 0;

/** Speaks to a worker over a link as the SDK does, frame by frame. */
export class ScriptedClient {
  readonly link: ClientLink;
  readonly answers = new Map<number, Answers>();
  lost: HoldfastError | null = null;
  #pair: ChannelPair | null = null;
  #hasVanished = false;
  #lastRef = 0;

  constructor(accept: (channel: Channel) => void) {
    clients += 1;
    this.link = new ClientLink({
      open: () => {
        if (this.#hasVanished) throw new Error('this program is dead');
        const pair = createChannelPair();
        this.#pair = pair;
        accept(pair.right);
        return pair.left;
      },
      clientId: `client-${clients}`,
      linkId: `secret-${clients}`,
      stream: 1,
      clock: systemClock,
      onFrame: (...[kind, ref, , frame]) => this.answers.get(ref)?.take(kind, frame),
      onLost: (error) => {
        this.lost = error;
      },
    });
  }

  bind(slot: number, instance: BindBody): void {
    this.send(FrameKind.Bind, { slot, body: encodeBody(instance) });
  }

  call(method: string, args: unknown[] = [], options: CallOptions = {}): Answers {
    this.#lastRef += 1;
    const answers = new Answers(this.#lastRef);
    this.answers.set(answers.ref, answers);
    this.link.writer.call({
      ref: answers.ref,
      slot: options.slot ?? 1,
      method,
      flags: options.generator === true ? CallFlag.generator : 0,
      remainingMs: options.remainingMs ?? 0,
      meta: options.meta === undefined ? null : encodeBody(options.meta),
      payload: options.payload ?? encodeArgs(args),
    });
    this.link.flushNow();
    return answers;
  }

  send(kind: FrameKind, { ref = 0, slot = 0, body }: { ref?: number; slot?: number; body?: Uint8Array }): void {
    this.link.writer.frame(kind, ref, slot, body);
    this.link.flushNow();
  }

  credit(call: Answers, bytes: number): void {
    this.send(FrameKind.Credit, { ref: call.ref, body: u32(bytes) });
  }

  chunk(call: Answers, bytes: Uint8Array): void {
    this.send(FrameKind.Chunk, { ref: call.ref, body: bytes });
  }

  cancel(call: Answers, reason: CancelReason = CancelReason.caller): void {
    this.send(FrameKind.Cancel, { ref: call.ref, body: Uint8Array.of(reason) });
  }

  /** As a program that was killed: no goodbye. */
  vanish(): void {
    this.#hasVanished = true;
    this.#pair?.cut();
  }

  close(): void {
    this.link.close();
  }
}
