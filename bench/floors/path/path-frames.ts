/** What a frame to the worker or to the container is for: its first byte. */
export const pathKinds = { call: 0, make: 1, activate: 2 } as const;

export const nothing = Buffer.alloc(0);
export const activate = Buffer.of(pathKinds.activate);

/** @param body encoded arguments */
export function callFrame(body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(pathKinds.call), body]);
}

/** A name that nobody has used. */
export function makeFrame(name: string): Buffer {
  return Buffer.concat([Buffer.of(pathKinds.make), Buffer.from(name)]);
}

export function readMake(frame: Buffer): string {
  return frame.toString('utf8', 1);
}
