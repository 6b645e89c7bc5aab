import type { ErrorCode, Outcome } from '../common/errors.js';

const codes: Readonly<Record<ErrorCode, true>> = {
  InvalidArgument: true,
  Unauthenticated: true,
  PermissionDenied: true,
  NotFound: true,
  AlreadyExists: true,
  InstanceConflict: true,
  InstanceClosed: true,
  InstanceGone: true,
  InstanceLost: true,
  ActivationFailed: true,
  PendingLimitExceeded: true,
  NoCapacity: true,
  DeadlineExceeded: true,
  Cancelled: true,
  Deadlock: true,
  OutcomeUnknown: true,
  StreamLost: true,
  PayloadTooLarge: true,
  NotSerializable: true,
  OutOfMemory: true,
  VolumeUnavailable: true,
  CommitConflict: true,
  CommandFailed: true,
  FileNotFound: true,
  SandboxUnavailable: true,
  Unavailable: true,
  StoreQuarantined: true,
  UserError: true,
  Internal: true,
};

/** Whether what came over the wire is a code of this version. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(codes, code);
}

export function isOutcome(outcome: unknown): outcome is Outcome {
  return outcome === 'not-run' || outcome === 'ran' || outcome === 'unknown';
}
