/** What a frame to the worker or to the container is for: its first byte. */
export const pathKinds = { call: 0, firstCall: 1, activate: 2 } as const;

export const nothing = Buffer.alloc(0);
export const activate = Buffer.of(pathKinds.activate);

/** Where the workers of this floor hear which names clients should have brought. */
export const checkSubject = 'bench.path.check';

/** @param body encoded arguments */
export function callFrame(body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(pathKinds.call), body]);
}

/** A call of a name that nobody has used, which its client brings along. @param name up to 255 bytes */
export function firstCallFrame(name: string, call: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(pathKinds.firstCall, Buffer.byteLength(name)), Buffer.from(name), call]);
}

export function readFirstCall(frame: Buffer): { readonly name: string; readonly call: Buffer } {
  const end = 2 + frame.readUInt8(1);
  return { name: frame.toString('utf8', 2, end), call: frame.subarray(end) };
}
