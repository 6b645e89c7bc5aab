import type { Duplex } from 'node:stream';
import { HoldfastError } from '../../../common/errors.js';
import type { TimerWheel } from '../../../common/timer-wheel.js';
import { guestBroke } from './guest-errors.js';
import {
  encodeHeader,
  encodeRequest,
  firstAgentRef,
  GuestAnswer,
  type GuestField,
  GuestRequest,
  guestChunkBytes,
  guestProtocolVersion,
} from './guest-frames.js';
import { GuestParser } from './guest-parser.js';
import { GuestPulse, guestSilentMs } from './guest-pulse.js';
import { encodePath } from './guest-text.js';

/** What answers of one ref go to. What it throws ends the link: the guest broke its protocol. */
export interface GuestOperation {
  /** A frame without data. `release` the ref with the last one. */
  onFrame(kind: GuestAnswer, body: Buffer): void;
  /** Some bytes of a Data or Errors frame, a view; absent: none may come. */
  onData?(kind: GuestAnswer, bytes: Buffer): void;
  /** The link has ended; nothing follows. */
  onLost(error: HoldfastError): void;
}

/** What may be under way for one guest at once; a guest that never answers cannot take more memory than that. */
const maxOperations = 8192;
/** Frames without data that may cross the end of an operation. */
const crossingFrames = 8;

/**
 * The worker's end of a guest's socket.
 *
 * G1. Everything that comes is checked here or by the operation that it belongs to; the first thing that is wrong ends the link.
 * G2. Data comes only on credit that was given: see `grant`.
 * G3. What is written in one turn leaves as one batch. While the socket is full only requests and credit are added to it,
 *     which are few; data waits with its sender for `whenDrained`.
 * G4. When the link ends every operation is told, once.
 * G5. A guest that falls silent while somebody waits for it ends the link.
 */
export class GuestLink {
  readonly closed: Promise<HoldfastError>;
  /** The agent has said hello. @throws why the link has ended before that */
  readonly greeted: Promise<void>;
  readonly #socket: Duplex;
  readonly #parser: GuestParser;
  readonly #operations = new Map<number, Entry>();
  readonly #pulse: GuestPulse;
  #lastRef = 0;
  #error: HoldfastError | null = null;
  #resolveClosed: (error: HoldfastError) => void = () => undefined;
  #resolveGreeted: () => void = () => undefined;
  #batch: Written[] = [];
  #isFull = false;
  #waiting: (() => void)[] = [];
  /** What may still come for operations that are over here. */
  #strayBytes = 0;
  #strayFrames = 0;
  #isGreeted = false;
  /** Of what is being taken apart: whose data was in it. */
  readonly #owners = new Set<GuestOperation | null>();
  /** Memory with the data of one operation and of nobody else. */
  readonly #alone = new WeakSet<ArrayBufferLike>();
  readonly #flush = () => this.#writeBatch();

  constructor(socket: Duplex, wheel: TimerWheel) {
    this.#socket = socket;
    this.#pulse = new GuestPulse(wheel, { ask: () => this.#ask(), giveUp: () => this.end(silent()) });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.greeted = new Promise((resolve, reject) => {
      this.#resolveGreeted = resolve;
      void this.closed.then(reject);
    });
    this.#pulse.begin();
    const known = (): void => this.#pulse.finish();
    // Who does not wait for it learns of the end elsewhere.
    this.greeted.then(known, known);
    this.#parser = new GuestParser({
      onFrame: (kind, ref, body) => this.#onFrame(kind, ref, body),
      onData: (kind, ref, bytes) => this.#onData(kind, ref, bytes),
    });
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('error', (error: Error) => this.end(lost(error.message)));
    socket.on('end', () => this.end(lost('it has ended')));
    socket.on('close', () => this.end(lost('it has ended')));
  }

  /** Why it has ended; null: it has not. */
  get error(): HoldfastError | null {
    return this.#error;
  }

  /** The socket takes no more data: go on when it does. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Runs once, when the socket takes more; not at all where the link ends before. */
  whenDrained(task: () => void): void {
    this.#waiting.push(task);
  }

  /** The ref of a new request, already sent. @throws why the link has ended, Unavailable where too much is under way */
  request(kind: GuestRequest, fields: readonly GuestField[], operation: GuestOperation): number {
    if (this.#error !== null) throw this.#error;
    if (this.#operations.size >= maxOperations || this.#lastRef === firstAgentRef - 1) {
      throw new HoldfastError(
        'Unavailable',
        `the sandbox has ${this.#operations.size} operations under way, its limit`,
      );
    }
    // Nobody waits for a connection that may never come.
    const isAwaited = kind !== GuestRequest.Listen;
    if (isAwaited) this.#pulse.begin();
    this.#lastRef += 1;
    this.#operations.set(this.#lastRef, { operation, credit: 0, isAwaited });
    this.#write(encodeRequest(kind, this.#lastRef, fields));
    return this.#lastRef;
  }

  /** Of a connection that the guest has accepted. @throws Unavailable where the ref cannot be one, or too much is under way */
  accept(ref: number, operation: GuestOperation): void {
    if (ref < firstAgentRef || this.#operations.has(ref) || this.#operations.size >= maxOperations) {
      throw guestBroke('it accepted what it could not');
    }
    this.#operations.set(ref, { operation, credit: 0, isAwaited: false });
  }

  /** Nothing that comes for it is looked at any more. */
  release(ref: number): void {
    const entry = this.#operations.get(ref);
    if (entry === undefined) return;
    if (entry.isAwaited) this.#pulse.finish();
    this.#operations.delete(ref);
    this.#strayBytes += entry.credit;
    this.#strayFrames += crossingFrames;
  }

  /** Ends an operation that goes on; does nothing where it is over. */
  abandon(ref: number): void {
    if (!this.#operations.has(ref)) return;
    this.release(ref);
    this.send(GuestRequest.Close, ref);
  }

  /** Without data. Does nothing where the link has ended. */
  send(kind: GuestRequest, ref: number, fields: readonly GuestField[] = []): void {
    if (this.#error === null) this.#write(encodeRequest(kind, ref, fields));
  }

  /** So many bytes more may come; `announced`: the guest knows it from the request. */
  grant(ref: number, bytes: number, announced = false): void {
    const entry = this.#operations.get(ref);
    if (entry === undefined || bytes === 0) return;
    entry.credit += bytes;
    if (!announced) this.send(GuestRequest.Credit, ref, [[4, bytes]]);
  }

  /** At most `guestChunkBytes`; the bytes belong to the link until `onWritten`, which comes also where they never leave. */
  sendData(ref: number, bytes: Uint8Array, onWritten: () => void): void {
    if (this.#error !== null || bytes.length === 0 || bytes.length > guestChunkBytes) return onWritten();
    this.#write(encodeHeader(GuestRequest.Data, ref, bytes.length));
    this.#write(bytes, onWritten);
  }

  /** Nobody but the operation that it was given to looks at the memory of these bytes. */
  hasAlone({ buffer }: Uint8Array): boolean {
    return this.#alone.has(buffer);
  }

  /** Idempotent. */
  end(error: HoldfastError): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#pulse.stop();
    const unwritten = this.#batch;
    this.#batch = [];
    this.#waiting = [];
    this.#socket.destroy();
    for (const { onWritten } of unwritten) onWritten?.();
    const operations = [...this.#operations.values()];
    this.#operations.clear();
    for (const { operation } of operations) operation.onLost(error);
    this.#resolveClosed(error);
  }

  #receive(chunk: Buffer): void {
    if (this.#error !== null) return;
    this.#pulse.heard();
    this.#owners.clear();
    try {
      this.#parser.push(chunk, () => this.#error !== null);
    } catch (error) {
      this.end(error instanceof HoldfastError ? error : guestBroke(String(error)));
    }
  }

  #onFrame(kind: GuestAnswer, ref: number, body: Buffer): void {
    if (ref === 0) return this.#onHello(kind, body);
    const entry = this.#find(ref);
    if (entry !== undefined) return entry.operation.onFrame(kind, body);
    this.#strayFrames -= 1;
    if (this.#strayFrames < 0) throw guestBroke('it goes on answering what is over');
  }

  #onHello(kind: GuestAnswer, body: Buffer): void {
    if (this.#isGreeted) throw guestBroke('it said hello twice');
    this.#isGreeted = true;
    if (kind !== GuestAnswer.Hello || body.length !== 4 || body.readUInt32LE(0) !== guestProtocolVersion) {
      throw guestBroke('it is of another version');
    }
    this.#resolveGreeted();
  }

  #onData(kind: GuestAnswer, ref: number, bytes: Buffer): void {
    const entry = this.#find(ref);
    this.#owners.add(entry?.operation ?? null);
    if (this.#owners.size === 1) this.#alone.add(bytes.buffer);
    else this.#alone.delete(bytes.buffer);
    if (entry === undefined) {
      this.#strayBytes -= bytes.length;
      if (this.#strayBytes < 0) throw guestBroke('it goes on sending what is over');
      return;
    }
    entry.credit -= bytes.length;
    if (entry.credit < 0 || entry.operation.onData === undefined)
      throw guestBroke('it sent data that was not asked for');
    entry.operation.onData(kind, bytes);
  }

  /** Undefined: it is over, and this has crossed its end. */
  #find(ref: number): Entry | undefined {
    if (ref > this.#lastRef && ref < firstAgentRef) throw guestBroke('it answered what was not asked');
    return this.#operations.get(ref);
  }

  /** Anything that it must answer; one with all that can be under way has been asked enough. */
  #ask(): void {
    if (this.#operations.size >= maxOperations) return;
    const operation: GuestOperation = { onFrame: () => this.release(ref), onLost: () => undefined };
    const ref = this.request(GuestRequest.Stat, [[1, 0], { text: encodePath('/') }], operation);
  }

  #write(bytes: Uint8Array, onWritten?: () => void): void {
    if (this.#batch.length === 0) process.nextTick(this.#flush);
    this.#batch.push({ bytes, onWritten });
  }

  #writeBatch(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (this.#error !== null || batch.length === 0) return;
    this.#socket.cork();
    for (const { bytes, onWritten } of batch) if (!this.#socket.write(bytes, onWritten)) this.#isFull = true;
    this.#socket.uncork();
  }

  #drained(): void {
    this.#isFull = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const task of waiting) task();
  }
}

interface Written {
  readonly bytes: Uint8Array;
  readonly onWritten: (() => void) | undefined;
}

interface Entry {
  readonly operation: GuestOperation;
  /** Bytes that may still come. */
  credit: number;
  readonly isAwaited: boolean;
}

/** Of a link that this side has ended. */
export function linkClosed(): HoldfastError {
  return new HoldfastError('Unavailable', 'the sandbox is gone: it was closed', { outcome: 'unknown' });
}

function lost(why: string): HoldfastError {
  return new HoldfastError('Unavailable', `the sandbox is gone: its link broke (${why})`, { outcome: 'unknown' });
}

function silent(): HoldfastError {
  return lost(`it has not answered for ${(2 * guestSilentMs) / 1_000} s`);
}
