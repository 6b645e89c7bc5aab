import { type ErrorCode, isHoldfastError } from '../../common/errors.js';

/** What a script learns from `$?`; one line each in `holdfast help exit-codes`. */
export const exitCodes = {
  ok: 0,
  userError: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  deadline: 5,
  permission: 6,
  other: 7,
} as const;

const byCode: Readonly<Partial<Record<ErrorCode, number>>> = {
  UserError: exitCodes.userError,
  InvalidArgument: exitCodes.usage,
  NotFound: exitCodes.notFound,
  InstanceGone: exitCodes.notFound,
  FileNotFound: exitCodes.notFound,
  PendingLimitExceeded: exitCodes.refused,
  NoCapacity: exitCodes.refused,
  Unavailable: exitCodes.refused,
  StoreQuarantined: exitCodes.refused,
  DeadlineExceeded: exitCodes.deadline,
  Cancelled: exitCodes.deadline,
  Unauthenticated: exitCodes.permission,
  PermissionDenied: exitCodes.permission,
};

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  return (isHoldfastError(error) ? byCode[error.code] : undefined) ?? exitCodes.other;
}

/** Text of `holdfast help exit-codes`. */
export const exitCodesHelp = `Exit codes:
  0  done
  1  the code of your class threw: UserError
  2  wrong usage: InvalidArgument
  3  not found: NotFound, InstanceGone, FileNotFound
  4  refused now, may work later: PendingLimitExceeded, NoCapacity,
     Unavailable, StoreQuarantined
  5  out of time or cancelled: DeadlineExceeded, Cancelled
  6  not allowed: Unauthenticated, PermissionDenied
  7  every other error; its code is in the line on stderr
\`sandbox exec\`, \`shell\` and \`attach\` end with the code of their command.`;
