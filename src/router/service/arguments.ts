import { createHash } from 'node:crypto';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';

/** Constructor arguments above this go to the object store; a pin is read and written too often to carry more. */
const maxInlineBytes = 65_536;
const maxArgsBytes = 8_388_608;

/** First byte of encoded arguments (wire/codec): only a router makes references. */
const clientFlags: readonly (number | undefined)[] = [0, 1];
const referenceFlag = 2;

/** @throws PayloadTooLarge; InvalidArgument for bytes that no client encodes, above all references to others' objects */
export function checkArguments(args: Uint8Array): Uint8Array {
  if (args.length > maxArgsBytes) {
    throw new HoldfastError(
      'PayloadTooLarge',
      `constructor arguments of ${args.length} bytes; at most ${maxArgsBytes} are kept. Pass a reference to large data instead`,
      { details: { bytes: args.length, maxBytes: maxArgsBytes } },
    );
  }
  if (clientFlags.includes(args[0])) return args;
  throw new HoldfastError(
    'InvalidArgument',
    `constructor arguments begin with byte ${args[0] ?? 'none'}, expected 0 or 1`,
  );
}

/** The bytes for the pin: the arguments, or a reference to them by their hash. */
export async function storeArguments(objects: ObjectStore, args: Uint8Array): Promise<Uint8Array> {
  if (args.length <= maxInlineBytes) return args;
  const key = `args/${createHash('sha256').update(args).digest('hex')}`;
  if (!(await objects.has(key))) await objects.put(key, args);
  return Buffer.concat([Uint8Array.of(referenceFlag), Buffer.from(key, 'utf8')]);
}

const mostTags = 64;
const longestTag = 256;

/** A pin carries them. @throws InvalidArgument */
export function checkedTags(tags: readonly string[]): readonly string[] {
  if (tags.length <= mostTags && tags.every((tag) => tag.length > 0 && tag.length <= longestTag)) return tags;
  throw new HoldfastError('InvalidArgument', `a session has at most ${mostTags} tags of 1 to ${longestTag} characters`);
}
