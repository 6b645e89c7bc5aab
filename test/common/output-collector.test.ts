import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutputCollector } from '../../src/common/output-collector.js';

test('output that was collected is the beginning of what was printed, cut between characters', () => {
  const texts = fc.array(fc.string({ unit: 'grapheme' }));
  fc.assert(
    fc.property(texts, fc.nat({ max: 64 }), fc.integer({ min: 1, max: 7 }), (printed, maxBytes, step) => {
      const bytes = Buffer.from(printed.join(''), 'utf8');
      const collector = new OutputCollector(maxBytes);
      for (let at = 0; at < bytes.length; at += step) collector.add(bytes.subarray(at, at + step));
      const text = collector.text();
      expect(collector.isTruncated).toBe(bytes.length > maxBytes);
      expect(bytes.toString('utf8').startsWith(text)).toBe(true);
      expect(maxBytes - Buffer.byteLength(text)).toBeLessThanOrEqual(bytes.length > maxBytes ? 3 : maxBytes);
      if (bytes.length <= maxBytes) expect(text).toBe(bytes.toString('utf8'));
    }),
  );
});

test('output that is no text is kept as far as it can be shown', () => {
  const collector = new OutputCollector(4);
  collector.add(Uint8Array.of(0xff, 0x41, 0x80, 0x80, 0x80));
  expect(collector.text()).toBe('\ufffdA\ufffd\ufffd');
});
