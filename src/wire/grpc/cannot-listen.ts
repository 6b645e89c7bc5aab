import { HoldfastError } from '../../common/errors.js';

/** grpc-js has the code in the text of its error only. */
const reasons = [
  ['EADDRINUSE', 'another process listens there; stop it, or take another port (0: a free one)'],
  ['EADDRNOTAVAIL', 'no interface of this host has that address'],
  ['EACCES', 'this user may not take that port'],
  ['ENOTFOUND', 'nobody knows that host name'],
] as const;

/** What is thrown where a server does not get its address. */
export function cannotListen(address: string, cause: Error): HoldfastError {
  const known = reasons.find(([code]) => cause.message.includes(code));
  const why = known === undefined ? cause.message : `${known[1]} (${known[0]})`;
  return new HoldfastError('Unavailable', `cannot listen on ${address}: ${why}`, { cause });
}
