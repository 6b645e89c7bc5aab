import type { StatusObject, status } from '@grpc/grpc-js';
import { type ErrorCode, HoldfastError, isHoldfastError } from '../../common/errors.js';
import { decodeError, encodeError } from '../errors.js';
import { grpcJs } from './grpc-js.js';

/** Trailing metadata that carries the error itself. */
const errorKey = 'holdfast-error-bin';
/** Trailers travel in one header block, which peers bound. */
const maxTrailerBytes = 4_096;

type StatusName = keyof typeof status;

const statusOf: Readonly<Record<ErrorCode, StatusName>> = {
  InvalidArgument: 'INVALID_ARGUMENT',
  Unauthenticated: 'UNAUTHENTICATED',
  PermissionDenied: 'PERMISSION_DENIED',
  NotFound: 'NOT_FOUND',
  AlreadyExists: 'ALREADY_EXISTS',
  InstanceConflict: 'ALREADY_EXISTS',
  InstanceClosed: 'FAILED_PRECONDITION',
  InstanceGone: 'NOT_FOUND',
  InstanceLost: 'ABORTED',
  ActivationFailed: 'FAILED_PRECONDITION',
  PendingLimitExceeded: 'RESOURCE_EXHAUSTED',
  NoCapacity: 'RESOURCE_EXHAUSTED',
  DeadlineExceeded: 'DEADLINE_EXCEEDED',
  Cancelled: 'CANCELLED',
  Deadlock: 'ABORTED',
  OutcomeUnknown: 'UNKNOWN',
  StreamLost: 'ABORTED',
  PayloadTooLarge: 'RESOURCE_EXHAUSTED',
  NotSerializable: 'INVALID_ARGUMENT',
  OutOfMemory: 'RESOURCE_EXHAUSTED',
  VolumeUnavailable: 'FAILED_PRECONDITION',
  CommitConflict: 'ABORTED',
  CommandFailed: 'UNKNOWN',
  FileNotFound: 'NOT_FOUND',
  SandboxUnavailable: 'FAILED_PRECONDITION',
  Unavailable: 'UNAVAILABLE',
  StoreQuarantined: 'UNAVAILABLE',
  UserError: 'UNKNOWN',
  Internal: 'INTERNAL',
};

/** What grpc reports of itself, where no error of ours came along. */
const codeOf: Readonly<Partial<Record<StatusName, ErrorCode>>> = {
  INVALID_ARGUMENT: 'InvalidArgument',
  UNAUTHENTICATED: 'Unauthenticated',
  PERMISSION_DENIED: 'PermissionDenied',
  NOT_FOUND: 'NotFound',
  RESOURCE_EXHAUSTED: 'PayloadTooLarge',
  DEADLINE_EXCEEDED: 'DeadlineExceeded',
  UNAVAILABLE: 'Unavailable',
};

/** grpc-js fails a call with these words before it sends anything. */
const neverSent = /No connection established|Name resolution failed|ECONNREFUSED|ENOTFOUND|EAI_AGAIN/;

/** A failed call's status and trailers, for a handler's callback or `emit('error')`. */
export type GrpcFailure = Pick<StatusObject, 'code' | 'details' | 'metadata'> & Error;

export function toGrpcError(error: unknown): GrpcFailure {
  const bytes = encodeError(error, maxTrailerBytes);
  const { code, message } = isHoldfastError(error) ? error : decodeError(bytes);
  const { Metadata, status } = grpcJs();
  const metadata = new Metadata();
  metadata.set(errorKey, Buffer.from(bytes));
  return Object.assign(new Error(message), { code: status[statusOf[code]], details: headerText(message), metadata });
}

/** @param endpoint for the message, where the error is grpc's own */
export function fromGrpcError(error: unknown, endpoint: string): HoldfastError {
  if (isHoldfastError(error)) return error;
  const { code, details, metadata } = error as Partial<StatusObject>;
  const [bytes] = metadata?.get(errorKey) ?? [];
  if (Buffer.isBuffer(bytes)) return decodeError(bytes);
  const text = details ?? String(error);
  const known = code === undefined ? undefined : codeOf[grpcJs().status[code] as StatusName];
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
