/** Frames between a worker and the agent of a sandbox: src/guest/frames.h says what they are, this is its other half. */
export const GuestRequest = {
  Data: 1,
  End: 2,
  Credit: 3,
  Close: 4,
  Resize: 5,
  Discard: 6,
  Spawn: 7,
  Kill: 8,
  Stat: 9,
  Mkdir: 10,
  Rename: 11,
  Realpath: 12,
  Remove: 13,
  Read: 14,
  List: 15,
  Write: 16,
  Watch: 17,
  AddPath: 18,
  DropPath: 19,
  Connect: 20,
  Listen: 21,
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
  discard: { stdout: 1, stderr: 2 },
} as const;

/** What an Error is about, where it is not the path of the request. */
export const GuestPlace = { path: 0, cwd: 1, program: 2 } as const;

export const guestProtocolVersion = 3;
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

/** One field of a request's body: a number of so many bytes, or a text. */
export type GuestField = readonly [width: 1 | 2 | 4 | 8, value: number] | { readonly text: Uint8Array };

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
  return 'text' in field ? field.text.length + 1 : field[0];
}

function writeField(frame: Buffer, at: number, field: GuestField): number {
  if ('text' in field) {
    frame.set(field.text, at);
    return frame.writeUInt8(0, at + field.text.length);
  }
  const [width, value] = field;
  if (width === 8) return frame.writeBigUInt64LE(BigInt(value), at);
  return frame.writeUIntLE(value, at, width);
}
