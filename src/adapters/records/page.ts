import { HoldfastError } from '../../common/errors.js';

/** Where a listing stands: after the entry `key` that was made at `createdAtMs`. */
export interface PagePosition {
  readonly createdAtMs: number;
  readonly key: string;
}

const largestPage = 10_000;

/** The text of a position, for `next`. */
export function encodePosition(position: PagePosition): string {
  return `${position.createdAtMs}:${position.key}`;
}

/** @throws InvalidArgument when `after` is not the `next` of an earlier page */
export function decodePosition(after: string | null): PagePosition | null {
  if (after === null) return null;
  const parts = /^(\d{1,16}):([A-Za-z0-9_-]{1,64})$/.exec(after);
  if (!parts?.[1] || !parts[2])
    throw new HoldfastError('InvalidArgument', `${JSON.stringify(after)} is not the \`next\` of an earlier page`);
  return { createdAtMs: Number(parts[1]), key: parts[2] };
}

/** Oldest first; entries of one millisecond by key, as both stores order them. */
export function comparePositions(a: PagePosition, b: PagePosition): number {
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs;
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** @throws InvalidArgument */
export function checkPageLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= largestPage) return;
  throw new HoldfastError('InvalidArgument', `page limit is ${limit}: expected an integer from 1 to ${largestPage}`);
}
