import { encodeBody } from '../../wire/frames/frame-bodies.js';
import { FrameWriter } from '../../wire/frames/frame-writer.js';
import { type CallMeta, FrameKind, inlinePayloadBytes } from '../../wire/frames/frames.js';

/** A call that no client has sent; what is behind its first 64 KiB goes in chunks, on credit. */
export function callFrame(method: string, payload: Uint8Array, meta: CallMeta | null = null): Buffer {
  const writer = new FrameWriter();
  const said = meta === null ? null : encodeBody(meta);
  writer.call({ ref: 0, slot: 0, method, flags: 0, remainingMs: 0, meta: said, payload });
  return writer.take();
}

/** The next part of a payload of which that much is sent; at most as much as a frame carries. */
export function chunkFrame(payload: Uint8Array, sentBytes: number, creditBytes: number): Buffer {
  const writer = new FrameWriter();
  const end = sentBytes + Math.min(creditBytes, inlinePayloadBytes);
  writer.frame(FrameKind.Chunk, 0, 0, payload.subarray(sentBytes, end));
  return writer.take();
}
