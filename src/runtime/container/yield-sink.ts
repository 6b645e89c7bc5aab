import { encodeValue } from '../../wire/codec/codec.js';
import type { FrameStream } from '../../wire/frames/frame-stream.js';
import { FrameKind } from '../../wire/frames/frames.js';
import type { PumpEnd, PumpSink } from './generator-pump.js';

/** The values of one generator call, as frames. */
export function createYieldSink(stream: FrameStream, ref: number, ended: (end: PumpEnd) => void): PumpSink {
  return {
    get isBlocked(): boolean {
      return stream.isBlocked;
    },
    encode: (value) => encodeValue(value),
    first(totalBytes, bytes) {
      stream.writer.payload(FrameKind.Yield, ref, 0, totalBytes, bytes);
      stream.flushSoon();
    },
    more(bytes) {
      stream.writer.frame(FrameKind.Chunk, ref, 0, bytes);
      stream.flushSoon();
    },
    ended,
  };
}
