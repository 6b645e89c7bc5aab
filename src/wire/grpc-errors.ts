import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { type ErrorCode, HoldfastError, isHoldfastError } from '../common/errors.js';
import { decodeError, encodeError } from './errors.js';

/** Trailing metadata that carries the error itself. */
const errorKey = 'holdfast-error-bin';
/** Trailers travel in one header block, which peers bound. */
const maxTrailerBytes = 4_096;

const statusOf: Readonly<Record<ErrorCode, status>> = {
  InvalidArgument: status.INVALID_ARGUMENT,
  Unauthenticated: status.UNAUTHENTICATED,
  PermissionDenied: status.PERMISSION_DENIED,
  NotFound: status.NOT_FOUND,
  AlreadyExists: status.ALREADY_EXISTS,
  InstanceConflict: status.ALREADY_EXISTS,
  InstanceClosed: status.FAILED_PRECONDITION,
  InstanceGone: status.NOT_FOUND,
  InstanceLost: status.ABORTED,
  ActivationFailed: status.FAILED_PRECONDITION,
  PendingLimitExceeded: status.RESOURCE_EXHAUSTED,
  NoCapacity: status.RESOURCE_EXHAUSTED,
  DeadlineExceeded: status.DEADLINE_EXCEEDED,
  Cancelled: status.CANCELLED,
  Deadlock: status.ABORTED,
  OutcomeUnknown: status.UNKNOWN,
  StreamLost: status.ABORTED,
  PayloadTooLarge: status.RESOURCE_EXHAUSTED,
  NotSerializable: status.INVALID_ARGUMENT,
  OutOfMemory: status.RESOURCE_EXHAUSTED,
  VolumeUnavailable: status.FAILED_PRECONDITION,
  CommitConflict: status.ABORTED,
  CommandFailed: status.UNKNOWN,
  FileNotFound: status.NOT_FOUND,
  SandboxUnavailable: status.FAILED_PRECONDITION,
  Unavailable: status.UNAVAILABLE,
  StoreQuarantined: status.UNAVAILABLE,
  UserError: status.UNKNOWN,
  Internal: status.INTERNAL,
};

/** What grpc reports of itself, where no error of ours came along. */
const codeOf: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.INVALID_ARGUMENT]: 'InvalidArgument',
  [status.UNAUTHENTICATED]: 'Unauthenticated',
  [status.PERMISSION_DENIED]: 'PermissionDenied',
  [status.NOT_FOUND]: 'NotFound',
  [status.RESOURCE_EXHAUSTED]: 'PayloadTooLarge',
  [status.DEADLINE_EXCEEDED]: 'DeadlineExceeded',
  [status.UNAVAILABLE]: 'Unavailable',
};

/** grpc-js fails a call with these words before it sends anything. */
const neverSent = /No connection established|Name resolution failed|ECONNREFUSED|ENOTFOUND|EAI_AGAIN/;

/** A failed call's status and trailers, for a handler's callback or `emit('error')`. */
export type GrpcFailure = Pick<StatusObject, 'code' | 'details' | 'metadata'> & Error;

export function toGrpcError(error: unknown): GrpcFailure {
  const bytes = encodeError(error, maxTrailerBytes);
  const { code, message } = isHoldfastError(error) ? error : decodeError(bytes);
  const metadata = new Metadata();
  metadata.set(errorKey, Buffer.from(bytes));
  return Object.assign(new Error(message), { code: statusOf[code], details: headerText(message), metadata });
}

/** @param endpoint for the message, where the error is grpc's own */
export function fromGrpcError(error: unknown, endpoint: string): HoldfastError {
  if (isHoldfastError(error)) return error;
  const { code, details, metadata } = error as Partial<StatusObject>;
  const [bytes] = metadata?.get(errorKey) ?? [];
  if (Buffer.isBuffer(bytes)) return decodeError(bytes);
  const text = details ?? String(error);
  const known = code === undefined ? undefined : codeOf[code];
  if (known !== undefined && known !== 'Unavailable') {
    return new HoldfastError(known, `${endpoint}: ${text}`, {
      outcome: known === 'Unauthenticated' ? 'not-run' : 'unknown',
    });
  }
  // The rest is what grpc-js makes of broken connections (also CANCELLED and INTERNAL) and of servers of others.
  return new HoldfastError('Unavailable', `${endpoint} cannot be reached: ${reasonIn(text)}`, {
    outcome: neverSent.test(text) ? 'not-run' : 'unknown',
    details: { endpoint },
  });
}

/** What broke, without what grpc-js and OpenSSL say around it. */
function reasonIn(details: string): string {
  const text = details.replace(/\s+/g, ' ').trim();
  const reason =
    /^No connection established\. Last error: (?:Error: )?(.+?)\.? Resolution note:/.exec(text)?.[1] ?? text;
  const tls = /:SSL routines:[^:]*:([^:]+):/.exec(reason)?.[1];
  if (tls !== undefined) return tls === 'wrong version number' ? 'it speaks no TLS' : `TLS: ${tls}`;
  if (reason.startsWith('Failed to connect')) return 'it breaks off: does it want TLS, or a certificate?';
  return reason;
}

/** Status details are a header: one line of bounded length. */
function headerText(message: string): string {
  return message.replace(/\s+/g, ' ').slice(0, 500);
}
