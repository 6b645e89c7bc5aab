import { describe, expect, it } from 'vitest';
import { freeBytes } from '../../src/common/free-bytes.js';

describe('bytes that are freed', () => {
  it('are empty at once, with every view of the same memory, and their memory is given back without a collection', () => {
    const bytes = Buffer.allocUnsafeSlow(65_536);
    const view = bytes.subarray(10, 20);
    freeBytes(view);
    expect([bytes.length, view.length, bytes.buffer.byteLength]).toEqual([0, 0, 0]);
    freeBytes(bytes);
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 1_000; count += 1) freeBytes(Buffer.allocUnsafeSlow(65_536).fill(1));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000 * 65_536 * 0.1);
  });

  it('are left alone where they are few, or where others may have the same memory', () => {
    const pooled = Buffer.from('hello');
    freeBytes(pooled);
    expect(pooled.toString()).toBe('hello');
    const shared = new Uint8Array(new SharedArrayBuffer(65_536));
    freeBytes(shared);
    expect(shared.length).toBe(65_536);
  });
});
