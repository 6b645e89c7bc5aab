import { type ErrorCode, HoldfastError } from '../../common/errors.js';

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'FileNotFound',
  EACCES: 'PermissionDenied',
  EPERM: 'PermissionDenied',
  EROFS: 'PermissionDenied',
  ENOSPC: 'NoCapacity',
  EDQUOT: 'NoCapacity',
  EISDIR: 'InvalidArgument',
  ENOTDIR: 'InvalidArgument',
  EEXIST: 'InvalidArgument',
  ELOOP: 'InvalidArgument',
  ENAMETOOLONG: 'InvalidArgument',
  ERR_INVALID_ARG_TYPE: 'InvalidArgument',
  ERR_INVALID_ARG_VALUE: 'InvalidArgument',
};

/**
 * A step on a file of this machine, whose errors say so: which side of a transfer failed is the first question.
 *
 * @param what the step, as in 'cannot read PATH'
 * @throws FileNotFound, PermissionDenied, NoCapacity, InvalidArgument, Unavailable
 */
export async function onThisMachine<T>(what: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new HoldfastError(codes[errno] ?? 'Unavailable', `cannot ${what} ${path} of this machine: ${errno}`, {
      cause,
      details: { path, errno },
    });
  }
}
