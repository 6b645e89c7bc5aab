import type { Packr } from 'msgpackr';

const keptBytes = 8_192;
const scratchBytes = 131_072;

let scratch: Buffer | null = null;
let isScratch = false;

/**
 * All packers of a process write into the same memory, one message behind the other. For a message that is copied before the next
 * one is packed it may be memory that is used again and again: fresh memory costs ten times what writing into it does.
 */
export function packIntoScratch(packr: Packr): void {
  scratch ??= Buffer.allocUnsafeSlow(scratchBytes);
  packr.useBuffer(scratch);
  isScratch = true;
}

export function isScratchMemory(bytes: Uint8Array): boolean {
  return bytes.buffer === scratch?.buffer;
}

/** Before every other message. */
export function packIntoOwn(packr: Packr): void {
  if (isScratch) useOwn(packr, keptBytes);
}

/** The same, where it takes memory of its own: so many bytes. */
export function useOwn(packr: Packr, bytes: number): void {
  packr.useBuffer(Buffer.allocUnsafeSlow(bytes));
  isScratch = false;
}
