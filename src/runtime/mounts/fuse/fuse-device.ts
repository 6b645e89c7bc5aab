import { close, read, readFileSync, write, writevSync } from 'node:fs';
import { constants } from 'node:os';
import type { Clock } from '../../../common/clock.js';
import { Refused } from '../refused.js';
import { maxWriteBytes } from './replies.js';
import { type FuseRequest, opcodes, parseRequest, readU64, writeU64 } from './requests.js';

/** Bytes of the answer; null: none is expected. */
export type FuseAnswer = Buffer | null;
export type FuseHandler = (request: FuseRequest) => FuseAnswer | Promise<FuseAnswer>;

const requestBytes = maxWriteBytes + 4_096;
const answerHeaderBytes = 16;
const { errno } = constants;
const tellAgainMs = 250;
const killBit = 1n << 8n;
/** The kernel has nothing for us now: somebody was interrupted, or it asks us to come again. */
const passing = new Set(['EINTR', 'EAGAIN', 'ENOENT']);
/**
 * Who is killed need not wait for these: nothing is changed by them, or, of an ioctl, what was asked for goes on without whoever
 * asked. Not those of directories: a list goes on from where the last request left it, and who asks again while that is read
 * would miss what it takes.
 */
const unawaited: ReadonlySet<number> = new Set([opcodes.lookup, opcodes.getattr, opcodes.read, opcodes.ioctl]);

export interface FuseDeviceParts {
  readonly handler: FuseHandler;
  /** Told what is no fault of whoever asked. */
  readonly onFailure: (error: unknown) => void;
  readonly clock: Pick<Clock, 'after'>;
}

/**
 * The kernel's requests of one mount, and our answers.
 *
 * I1. Each request has one answer, but those that expect none; what a handler throws is one, too: `EIO`, unless it says otherwise, or
 *     `ENOSPC` where the disk of the host is full.
 * I2. The body of a request is read over when its handler has returned: one that waits copies what it needs.
 * I3. A notice is never written by this thread: the kernel may wait for an answer of ours before it takes it.
 */
export class FuseDevice {
  readonly #fd: number;
  readonly #handler: FuseHandler;
  readonly #onFailure: (error: unknown) => void;
  readonly #clock: Pick<Clock, 'after'>;
  /** Requests that wait and can be interrupted, by their number: the threads that made them. */
  readonly #interruptible = new Map<number, number>();
  readonly #buffers = [Buffer.allocUnsafeSlow(requestBytes), Buffer.allocUnsafeSlow(requestBytes)];
  #isOver = false;

  constructor(fd: number, { handler, onFailure, clock }: FuseDeviceParts) {
    this.#fd = fd;
    this.#handler = handler;
    this.#onFailure = onFailure;
    this.#clock = clock;
  }

  /** Resolves when it is mounted no more. */
  async serve(): Promise<void> {
    let next = this.#read(0);
    for (let turn = 1; ; turn = 1 - turn) {
      const bytes = await next;
      if (bytes === null) break;
      // The kernel's next request comes while this one is worked on.
      next = this.#read(turn);
      this.#take(parseRequest(bytes));
    }
    this.#isOver = true;
    close(this.#fd, () => undefined);
  }

  /** Resolves when the kernel has taken it; it may be unknown to the kernel, which is as good. */
  async notify({ code, body }: { readonly code: number; readonly body: Buffer }): Promise<void> {
    if (this.#isOver) return;
    const message = Buffer.concat([answerHeader({ unique: 0, error: code, bytes: body.length }), body]);
    await new Promise<void>((resolve) => write(this.#fd, message, () => resolve()));
  }

  #read(turn: number): Promise<Buffer | null> {
    const buffer = this.#buffers[turn] as Buffer;
    return new Promise((resolve, reject) => {
      const again = (): void =>
        read(this.#fd, buffer, 0, buffer.length, null, (error, length) => {
          if (error === null) resolve(length === 0 ? null : buffer.subarray(0, length));
          else if (passing.has(error.code ?? '')) again();
          else if (error.code === 'ENODEV' || error.code === 'ECONNABORTED') resolve(null);
          else reject(error);
        });
      again();
    });
  }

  #take(request: FuseRequest): void {
    const { unique, opcode } = request;
    if (opcode === opcodes.interrupt) return this.#interrupt(unique, readU64(request.body, 0));
    try {
      const answer = this.#handler(request);
      if (answer instanceof Promise) this.#wait(request, answer);
      else if (answer !== null) this.#answer(unique, answer);
    } catch (error) {
      this.#fail(unique, error);
    }
  }

  #wait({ unique, opcode, thread }: FuseRequest, answer: Promise<FuseAnswer>): void {
    if (unawaited.has(opcode)) this.#interruptible.set(unique, thread);
    const isInterrupted = (): boolean => unawaited.has(opcode) && !this.#interruptible.delete(unique);
    answer.then(
      (bytes) => {
        if (!isInterrupted() && bytes !== null) this.#answer(unique, bytes);
        else if (opcode === opcodes.lookup && bytes !== null) this.#untold(bytes);
      },
      (error: unknown) => {
        if (!isInterrupted()) this.#fail(unique, error);
      },
    );
  }

  /**
   * Any signal interrupts, also one that a handler takes: programs do not expect EINTR of files, so only who is killed gets it.
   * Of the rest the kernel is asked to tell again, as it tells of a kill after another signal only then.
   */
  #interrupt(asking: number, unique: number): void {
    const thread = this.#interruptible.get(unique);
    if (thread === undefined) return;
    if (!isKilled(thread)) {
      this.#clock.after(tellAgainMs, () => this.#send({ unique: asking, error: -errno.EAGAIN }, null));
      return;
    }
    this.#interruptible.delete(unique);
    this.#send({ unique, error: -errno.EINTR }, null);
  }

  /** The kernel forgets only what it was told of. @param entry of a node that was counted as told, or of none */
  #untold(entry: Buffer): void {
    const nodeId = readU64(entry, 0);
    const body = Buffer.alloc(8);
    writeU64(body, 1, 0);
    if (nodeId !== 0) void this.#handler({ opcode: opcodes.forget, unique: 0, nodeId, thread: 0, body });
  }

  #answer(unique: number, bytes: Buffer): void {
    this.#send({ unique, error: 0 }, bytes);
  }

  #fail(unique: number, error: unknown): void {
    const isFull = (error as NodeJS.ErrnoException | null)?.code === 'ENOSPC';
    const code = error instanceof Refused ? error.errno : isFull ? errno.ENOSPC : errno.EIO;
    if (!(error instanceof Refused)) this.#onFailure(error);
    this.#send({ unique, error: -code }, null);
  }

  #send(head: { readonly unique: number; readonly error: number }, bytes: Buffer | null): void {
    // Another file may have its number by then.
    if (this.#isOver) return;
    const header = answerHeader({ ...head, bytes: bytes?.length ?? 0 });
    try {
      writevSync(this.#fd, bytes === null || bytes.length === 0 ? [header] : [header, bytes]);
    } catch (error) {
      // Who asked was killed meanwhile, or the mount is gone, which the reader sees.
      const { code = '' } = error as NodeJS.ErrnoException;
      if (!['ENOENT', 'ENODEV', 'ECONNABORTED', 'EBADF'].includes(code)) this.#onFailure(error);
    }
  }
}

function answerHeader(head: { readonly unique: number; readonly error: number; readonly bytes: number }): Buffer {
  const header = Buffer.alloc(answerHeaderBytes);
  header.writeUInt32LE(answerHeaderBytes + head.bytes, 0);
  header.writeInt32LE(head.error, 4);
  writeU64(header, head.unique, 8);
  return header;
}

/** Or gone already. @param thread 0: who knows */
function isKilled(thread: number): boolean {
  if (thread === 0) return false;
  let status: string;
  try {
    status = readFileSync(`/proc/${thread}/status`, 'utf8');
  } catch {
    return true;
  }
  const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)];
  return pending.some(([, mask]) => (BigInt(`0x${mask}`) & killBit) !== 0n);
}
