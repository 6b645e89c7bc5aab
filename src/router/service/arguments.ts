import { createHash } from 'node:crypto';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';

/** Constructor arguments above this go to the object store; a pin is read and written too often to carry more. */
const maxInlineBytes = 65_536;
const referenceFlag = 2;

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
