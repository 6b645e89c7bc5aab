import { encodeArgs, hashArgs } from '../../wire/codec/codec.js';

/** The id of the instance that runs a function's calls: what `bind` makes of its deployment. */
export function functionInstanceId(deployment: number): string {
  return `bind-${hashArgs(encodeArgs([deployment]))}`;
}
