import type { HoldfastError } from '../../../src/common/errors.js';
import type { Channel } from '../../../src/common/ports/channel.js';
import { decodeValue, encodeArgs } from '../../../src/wire/codec/codec.js';
import { decodeError } from '../../../src/wire/errors.js';
import { decodeBody, encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { readBody, readCredit, readFrames, readPayload } from '../../../src/wire/frames/frame-reader.js';
import { FrameStream } from '../../../src/wire/frames/frame-stream.js';
import {
  type ActivateBody,
  CallFlag,
  type CallMeta,
  CancelReason,
  type DeactivateBody,
  FrameKind,
  inlinePayloadBytes,
  type LoadBody,
} from '../../../src/wire/frames/frames.js';

export interface SeenFrame {
  readonly kind: FrameKind;
  readonly ref: number;
  readonly slot: number;
  /** A copy. */
  readonly frame: Buffer;
}

interface CallOptions {
  readonly slot?: number;
  readonly generator?: boolean;
  /** Begins when a slot is free. */
  readonly queued?: boolean;
  readonly meta?: CallMeta;
  readonly remainingMs?: number;
  /** Credit for a large result, each time that bytes have come. Default: as much as is missing. */
  readonly holdCredit?: boolean;
  /** The test sends the chunks of a large payload itself. */
  readonly holdChunks?: boolean;
}

/** Speaks to a container as a worker does, frame by frame, so that a test can be slow, greedy or gone. */
export class ContainerDriver {
  readonly stream: FrameStream;
  /** All frames in the order in which they came. */
  readonly seen: SeenFrame[] = [];
  readonly closed: Promise<Error | null>;
  #lastRef = 0;
  #watchers = new Set<() => void>();

  constructor(channel: Channel) {
    this.stream = new FrameStream(channel);
    this.closed = new Promise((resolve) => {
      channel.open({
        onMessage: (batch) => {
          // biome-ignore lint/complexity/useMaxParams: as readFrames calls it
          readFrames(batch, (kind, ref, slot, frame) => this.seen.push({ kind, ref, slot, frame: Buffer.from(frame) }));
          for (const look of [...this.#watchers]) look();
        },
        onDrain: () => this.stream.onDrain(),
        onClosed: (error) => {
          resolve(error);
          for (const look of [...this.#watchers]) look();
        },
      });
    });
  }

  send(kind: FrameKind, { ref = 0, slot = 0, body }: { ref?: number; slot?: number; body?: Uint8Array }): void {
    this.stream.writer.frame(kind, ref, slot, body);
    this.stream.flushNow();
  }

  async load(body: Partial<LoadBody> & Pick<LoadBody, 'bundlePath' | 'bundleSha256'>): Promise<void> {
    const whole: LoadBody = {
      containerId: 'c1',
      account: 'a',
      app: 'demo',
      deployment: 1,
      memoryMb: 512,
      timeoutMs: 600_000,
      env: {},
      className: 'Thing',
      enterHooks: [],
      exitHooks: [],
      methods: [],
      hasAlarm: true,
      concurrentRequests: 1_000,
      ...body,
    };
    this.send(FrameKind.Load, { body: encodeBody(whole) });
    const answer = await this.next((seen) => seen.kind === FrameKind.Loaded || seen.kind === FrameKind.LoadFailed);
    if (answer.kind === FrameKind.LoadFailed) throw decodeError(readBody(answer.frame));
  }

  async activate(slot: number, args: unknown[] = [], body: Partial<ActivateBody> = {}): Promise<void> {
    const whole: ActivateBody = { id: `i${slot}`, epoch: 5, restarted: false, args: encodeArgs(args), ...body };
    this.send(FrameKind.Activate, { slot, body: encodeBody(whole) });
    const answer = await this.next(
      (seen) => seen.slot === slot && (seen.kind === FrameKind.Activated || seen.kind === FrameKind.ActivationFailed),
    );
    if (answer.kind === FrameKind.ActivationFailed) throw decodeError(readBody(answer.frame));
  }

  async deactivate(slot: number, body: DeactivateBody): Promise<Record<string, unknown>> {
    const before = this.seen.length;
    this.send(FrameKind.Deactivate, { slot, body: encodeBody(body) });
    const is = (seen: SeenFrame): boolean => seen.slot === slot && seen.kind === FrameKind.Deactivated;
    const answer = await this.next((seen) => is(seen) && this.seen.indexOf(seen) >= before);
    return decodeBody(readBody(answer.frame));
  }

  /** Sends the call's frame; the rest of a large payload goes out as the container gives credit. */
  begin(method: string, args: unknown[], options: CallOptions = {}): number {
    const ref = ++this.#lastRef;
    const payload = encodeArgs(args);
    this.stream.writer.call({
      ref,
      slot: options.slot ?? 1,
      method,
      flags: (options.generator === true ? CallFlag.generator : 0) | (options.queued === true ? CallFlag.queued : 0),
      remainingMs: options.remainingMs ?? 0,
      meta: options.meta === undefined ? null : encodeBody(options.meta),
      payload,
    });
    this.stream.flushNow();
    if (payload.length > inlinePayloadBytes && options.holdChunks !== true) this.#sendOnCredit(ref, payload);
    return ref;
  }

  async call(method: string, args: unknown[] = [], options: CallOptions = {}): Promise<unknown> {
    return this.result(this.begin(method, args, options), options);
  }

  /** @throws the error that the container answers with */
  async result(ref: number, options: CallOptions = {}): Promise<unknown> {
    const first = await this.next((seen) => seen.ref === ref && isAnswer(seen.kind));
    if (first.kind === FrameKind.Error) throw decodeError(readBody(first.frame));
    const { total, bytes } = readPayload(first.frame);
    if (bytes.length === total) return decodeValue(bytes);
    if (options.holdCredit !== true) this.credit(ref, total - bytes.length);
    await this.until(() => this.bytesOf(ref) >= total);
    return decodeValue(Buffer.concat(this.partsOf(ref)));
  }

  async errorOf(ref: number): Promise<HoldfastError> {
    const frame = await this.next((seen) => seen.ref === ref && seen.kind === FrameKind.Error);
    return decodeError(readBody(frame.frame));
  }

  credit(ref: number, bytes: number): void {
    const body = Buffer.allocUnsafe(4);
    body.writeUInt32LE(bytes);
    this.send(FrameKind.Credit, { ref, body });
  }

  cancel(ref: number, reason: CancelReason): void {
    this.send(FrameKind.Cancel, { ref, body: Uint8Array.of(reason) });
  }

  /** Payload bytes that have come for a call, first parts and chunks together. */
  bytesOf(ref: number): number {
    return this.partsOf(ref).reduce((sum, part) => sum + part.length, 0);
  }

  partsOf(ref: number): Buffer[] {
    return this.seen.flatMap((seen) => {
      if (seen.ref !== ref) return [];
      if (seen.kind === FrameKind.Chunk) return [readBody(seen.frame)];
      return seen.kind === FrameKind.Result || seen.kind === FrameKind.Yield ? [readPayload(seen.frame).bytes] : [];
    });
  }

  values(ref: number): unknown[] {
    return this.seen
      .filter((seen) => seen.ref === ref && seen.kind === FrameKind.Yield)
      .map((seen) => decodeValue(readPayload(seen.frame).bytes));
  }

  /** The first frame, past or to come, of which `is` holds. */
  async next(is: (seen: SeenFrame) => boolean): Promise<SeenFrame> {
    await this.until(() => this.seen.some(is));
    return this.seen.find(is) as SeenFrame;
  }

  /** Rejects when the channel closes first. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!holds()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
      void this.closed.then((error) => {
        look();
        if (this.#watchers.delete(look)) reject(error ?? new Error('the container closed its channel'));
      });
    });
  }

  #sendOnCredit(ref: number, payload: Uint8Array): void {
    let sent = inlinePayloadBytes;
    const credits = new Set<SeenFrame>();
    let credit = 0;
    const look = (): void => {
      for (const seen of this.seen) {
        if (seen.ref !== ref || seen.kind !== FrameKind.Credit || credits.has(seen)) continue;
        credits.add(seen);
        credit += readCredit(seen.frame);
      }
      while (credit > 0 && sent < payload.length) {
        const size = Math.min(credit, inlinePayloadBytes, payload.length - sent);
        this.send(FrameKind.Chunk, { ref, body: payload.subarray(sent, sent + size) });
        sent += size;
        credit -= size;
      }
      if (sent === payload.length) this.#watchers.delete(look);
    };
    this.#watchers.add(look);
    look();
  }
}

function isAnswer(kind: FrameKind): boolean {
  return kind === FrameKind.Result || kind === FrameKind.Error;
}

export { CancelReason, FrameKind };
