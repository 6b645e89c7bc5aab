import { checkSessionArguments, type SessionArguments } from '../../common/session-options.js';
import { decodeArgs } from '../../wire/codec/codec.js';

/** @param args of a session, encoded @throws InvalidArgument */
export function readSessionArguments(args: Uint8Array): SessionArguments {
  const [options] = decodeArgs(args);
  return checkSessionArguments('a session', options);
}
