import { HoldfastError } from './errors.js';
import type { Identity } from './ids.js';

const maxNameBytes = 256;
const maxIdBytes = 1_024;

/** @throws InvalidArgument for names that no store key or message should carry */
export function checkedIdentity(identity: Identity): Identity {
  checkedName('app', identity.app);
  checkedName('class', identity.className);
  checkedText('instance id', identity.id, maxIdBytes);
  return identity;
}

/** @throws InvalidArgument */
export function checkedName(what: string, name: string): string {
  return checkedText(what, name, maxNameBytes);
}

function checkedText(what: string, text: string, maxBytes: number): string {
  const bytes = Buffer.byteLength(text, 'utf8');
  const problem =
    bytes === 0 ? 'is empty' : bytes > maxBytes ? `has ${bytes} bytes, at most ${maxBytes} are allowed` : null;
  if (problem !== null) throw new HoldfastError('InvalidArgument', `${what} ${problem}`, { details: { what } });
  if (/\p{Cc}/u.test(text)) {
    throw new HoldfastError('InvalidArgument', `${what} ${JSON.stringify(text)} has control characters`, {
      details: { what },
    });
  }
  return text;
}
