import type { Attributes } from '../../../common/volumes/entry.js';

/** A moment, as attributes have it. @param nowMs with fractions */
export function timeOf(nowMs: number): Pick<Attributes, 'mtimeSeconds' | 'mtimeNanos'> {
  const mtimeSeconds = Math.floor(nowMs / 1_000);
  return { mtimeSeconds, mtimeNanos: Math.floor((nowMs - mtimeSeconds * 1_000) * 1_000_000) };
}
