/** Frames between a worker and the agent of a sandbox: src/guest/frames.h says what they are, this is its other half. */
export const GuestRequest = {
  Spawn: 1,
  Data: 2,
  End: 3,
  Credit: 4,
  Close: 5,
  Resize: 6,
  Kill: 7,
  Stat: 8,
  List: 9,
  Mkdir: 10,
  Remove: 11,
  Rename: 12,
  Read: 13,
  Write: 14,
  Realpath: 15,
  Watch: 16,
  WatchMore: 17,
  Unwatch: 18,
  Connect: 19,
  Listen: 20,
  Discard: 21,
} as const;
export type GuestRequest = (typeof GuestRequest)[keyof typeof GuestRequest];

export const GuestAnswer = {
  Hello: 64,
  Ok: 65,
  Error: 66,
  Data: 67,
  /** stderr of a command. */
  Errors: 68,
  End: 69,
  Credit: 70,
  Exit: 71,
  Accepted: 72,
} as const;
export type GuestAnswer = (typeof GuestAnswer)[keyof typeof GuestAnswer];

export const GuestFlag = {
  spawnStdin: 1,
  spawnPty: 2,
  follow: 1,
  recursive: 1,
  append: 1,
  directory: 1,
  discard: { stdout: 1, stderr: 2 },
} as const;

/** What an Error is about, where it is not the path of the request. */
export const GuestPlace = { path: 0, cwd: 1, program: 2, user: 3 } as const;

export const guestProtocolVersion = 2;
/** u32 length of what follows | u8 kind | u32 ref. */
export const guestHeaderBytes = 9;
export const guestMaxFrameBytes = 1_048_576;
export const guestMaxTexts = 32_768;
/** The most Data in one frame, either way. */
export const guestChunkBytes = 131_072;
/** Credit for Data to the agent, of each ref. */
export const guestWindowBytes = 262_144;
/** From here on refs are the agent's. */
export const firstAgentRef = 0x8000_0000;
/** `uid` of a Spawn that keeps the agent's. */
export const sameUser = 0xffff_ffff;

/** One field of a request's body: a number of so many bytes, a text, or texts. */
export type GuestField =
  | readonly [width: 1 | 2 | 4 | 8, value: number]
  | { readonly text: Uint8Array }
  | { readonly texts: readonly Uint8Array[] };

/** A whole frame. */
export function encodeRequest(kind: GuestRequest, ref: number, fields: readonly GuestField[]): Buffer {
  const frame = Buffer.allocUnsafe(guestHeaderBytes + fields.reduce((sum, field) => sum + fieldBytes(field), 0));
  let at = writeHeader(frame, { kind, ref, bodyBytes: frame.length - guestHeaderBytes });
  for (const field of fields) at = writeField(frame, at, field);
  return frame;
}

/** Of a frame whose body follows it in buffers of its own. */
export function encodeHeader(kind: GuestRequest, ref: number, bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(guestHeaderBytes);
  writeHeader(header, { kind, ref, bodyBytes });
  return header;
}

function writeHeader(
  frame: Buffer,
  header: { readonly kind: GuestRequest; readonly ref: number; readonly bodyBytes: number },
): number {
  frame.writeUInt32LE(guestHeaderBytes - 4 + header.bodyBytes, 0);
  frame.writeUInt8(header.kind, 4);
  return frame.writeUInt32LE(header.ref, 5);
}

function fieldBytes(field: GuestField): number {
  if ('text' in field) return field.text.length + 1;
  if ('texts' in field) return field.texts.reduce((sum, text) => sum + text.length + 1, 4);
  return field[0];
}

function writeField(frame: Buffer, at: number, field: GuestField): number {
  if ('text' in field) return writeText(frame, at, field.text);
  if ('texts' in field) {
    let next = frame.writeUInt32LE(field.texts.length, at);
    for (const text of field.texts) next = writeText(frame, next, text);
    return next;
  }
  const [width, value] = field;
  if (width === 8) return frame.writeBigUInt64LE(BigInt(value), at);
  return frame.writeUIntLE(value, at, width);
}

function writeText(frame: Buffer, at: number, text: Uint8Array): number {
  frame.set(text, at);
  return frame.writeUInt8(0, at + text.length);
}
