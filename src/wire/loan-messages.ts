import type { Monotonic } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { SplitMessage } from '../common/ports/channel.js';
import type { ContainerExit } from '../common/ports/container.js';
import { decodeBody, encodeBody } from './frames/frame-bodies.js';
import { SplitBatch } from './frames/split-message.js';

/**
 * Messages between a worker that lends a container and the one that borrows it, on a channel of their own: `u8 type`, then
 * MessagePack, or of `data` what container and borrower say to each other, unread. The first one is `borrow`; its number is
 * none of a link's, so that a worker tells a borrower from a client.
 */
export const LoanMessage = {
  borrow: 16,
  /** The container has its class, and is the borrower's. */
  lent: 17,
  /** From the lender, by its own clock: may the borrower's boot still run? */
  ask: 18,
  renew: 19,
  data: 20,
  /** From the lender, which drains: the container is wanted back. */
  recall: 21,
  /** From the borrower: it is needed no more, or no more trusted. */
  end: 22,
  /** Its process is gone. */
  gone: 23,
  /** What it wrote into volumes is committed, or why not. */
  settled: 24,
} as const;

/** What a lender says of the container that it lends. */
export interface Lent {
  readonly containerId: string;
  readonly hasVolumes: boolean;
}

const dataHead = Buffer.of(LoanMessage.data);
const longestText = 2_048;

export function loanMessage(type: number, body?: object): Uint8Array {
  return body === undefined ? Buffer.of(type) : Buffer.concat([Buffer.of(type), encodeBody(body)]);
}

/** Behind its type, without a copy of what is long. */
export function loanData(message: Uint8Array | SplitMessage): SplitMessage {
  if (message instanceof Uint8Array) return new SplitBatch(dataHead, message);
  return new SplitBatch(Buffer.concat([dataHead, message.head]), message.tail);
}

/** @throws InvalidArgument */
export function readBorrow(message: Uint8Array): string {
  const { ticket } = decodeBody(message.subarray(1));
  return typeof ticket === 'string' ? ticket : refuse('borrow', 'a ticket');
}

/** @throws InvalidArgument */
export function readLent(message: Uint8Array): Lent {
  const { containerId, hasVolumes } = decodeBody(message.subarray(1));
  if (typeof containerId !== 'string' || typeof hasVolumes !== 'boolean')
    return refuse('lent', 'containerId and hasVolumes');
  return { containerId: containerId.slice(0, longestText), hasVolumes };
}

/** @throws InvalidArgument */
export function readAsk(message: Uint8Array): { readonly askedAt: Monotonic } {
  const { askedAt } = decodeBody(message.subarray(1));
  return isFiniteNumber(askedAt) ? { askedAt } : refuse('ask', 'askedAt');
}

/** What the borrower had left of its right to run when it was asked, or later. @throws InvalidArgument */
export function readRenew(message: Uint8Array): { readonly askedAt: Monotonic; readonly remainingMs: number } {
  const { askedAt, remainingMs } = decodeBody(message.subarray(1));
  const isGood = isFiniteNumber(askedAt) && isFiniteNumber(remainingMs) && remainingMs >= 0;
  return isGood ? { askedAt, remainingMs } : refuse('renew', 'askedAt and remainingMs');
}

/** @throws InvalidArgument */
export function readGone(message: Uint8Array): ContainerExit {
  const { exitCode, signal, outOfMemory } = decodeBody(message.subarray(1));
  return {
    exitCode: typeof exitCode === 'number' ? exitCode : null,
    signal: typeof signal === 'string' ? signal.slice(0, longestText) : null,
    outOfMemory: outOfMemory === true,
  };
}

/** @throws InvalidArgument */
export function readSettled(message: Uint8Array): string | null {
  const { problem } = decodeBody(message.subarray(1));
  return typeof problem === 'string' ? problem.slice(0, longestText) : null;
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function refuse(message: string, needs: string): never {
  throw new HoldfastError('InvalidArgument', `the loan is broken: '${message}' needs ${needs}`);
}
