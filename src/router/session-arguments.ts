import { checkSessionArguments, type SessionArguments } from '../common/session-options.js';
import { decodeArgs, readReference } from '../wire/codec/codec.js';

/** What a session is made with, of its pin's arguments; nothing where those are too large to be in it. @throws InvalidArgument */
export function sessionArguments(args: Uint8Array): SessionArguments {
  return readReference(args) === null ? checkSessionArguments('a session', decodeArgs(args)[0]) : {};
}
