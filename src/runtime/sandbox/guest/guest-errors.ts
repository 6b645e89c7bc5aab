import { getSystemErrorName } from 'node:util';
import { type ErrorCode, HoldfastError } from '../../../common/errors.js';
import { GuestPlace } from './guest-frames.js';

/** What was tried: `cannot <verb> <path>`. */
export interface GuestAttempt {
  readonly verb: string;
  readonly path: string;
  /** Of a command. */
  readonly cwd?: string;
}

/** What the operating system says, in the words of its errors. */
const meanings: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['FileNotFound', 'there is no such file or directory'],
  EACCES: ['PermissionDenied', 'permission denied'],
  EPERM: ['PermissionDenied', 'operation not permitted'],
  EROFS: ['PermissionDenied', 'the file system is read-only'],
  EEXIST: ['AlreadyExists', 'it exists already'],
  ENOTDIR: ['InvalidArgument', 'something on the path is not a directory'],
  EISDIR: ['InvalidArgument', 'it is a directory'],
  ENOTEMPTY: ['InvalidArgument', 'the directory is not empty'],
  ENAMETOOLONG: ['InvalidArgument', 'a name is too long, at most 255 bytes can be'],
  ELOOP: ['InvalidArgument', 'too many symbolic links, or too many directories one in the other'],
  EXDEV: ['InvalidArgument', 'both paths must be on the same file system'],
  EINVAL: ['InvalidArgument', 'invalid argument, or not a file that can be read and written'],
  ENXIO: ['InvalidArgument', 'it is a socket, a device or a pipe, not a file that can be read and written'],
  ENOEXEC: ['InvalidArgument', 'it is not a program'],
  EBUSY: ['InvalidArgument', 'it is in use'],
  ETXTBSY: ['InvalidArgument', 'it is a program that runs'],
  EADDRINUSE: ['AlreadyExists', 'the port is taken'],
  EFBIG: ['PayloadTooLarge', 'the file would be too large'],
  E2BIG: ['PayloadTooLarge', 'it is too long'],
  ENOSPC: ['NoCapacity', 'no space is left on the disk'],
  EDQUOT: ['NoCapacity', 'no space is left on the disk'],
  EMFILE: ['Unavailable', 'too much is open inside the sandbox'],
  ENFILE: ['Unavailable', 'too much is open inside the sandbox'],
  EAGAIN: ['Unavailable', 'it changed meanwhile, or too many processes run'],
  ENOMEM: ['Unavailable', 'the sandbox is out of memory'],
  ECONNREFUSED: ['Unavailable', 'nobody listens there'],
  ECONNRESET: ['Unavailable', 'the connection was reset'],
};

/** @param body of an Error frame, from a guest that may send anything */
export function guestError(attempt: GuestAttempt, body: Buffer): HoldfastError {
  const errno = body.length >= 4 ? body.readUInt32LE(0) : 0;
  const place = body[4] ?? GuestPlace.path;
  const name = errno > 0 && errno < 4096 ? getSystemErrorName(-errno) : `error ${errno}`;
  const [code, why] = meanings[name] ?? (['Unavailable', `the system says ${name}`] as const);
  const { verb, path, cwd } = attempt;
  if (place === GuestPlace.cwd && cwd !== undefined) {
    const inside = name === 'ENOTDIR' ? `${cwd} is not a directory` : `${cwd}: ${why}`;
    return new HoldfastError(code, `cannot ${verb} ${path} in ${inside}`, { details: { path: cwd } });
  }
  const reason = name === 'ENOENT' && place === GuestPlace.program ? 'there is no such program' : why;
  return new HoldfastError(code, `cannot ${verb} ${path}: ${reason}`, { details: { path, errno: name } });
}

/** The guest breaks the protocol: its link is over. */
export function guestBroke(why: string): HoldfastError {
  return new HoldfastError('Unavailable', `the agent of the sandbox broke its protocol: ${why}`, {
    outcome: 'unknown',
  });
}
