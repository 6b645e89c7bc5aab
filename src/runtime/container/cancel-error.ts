import { type ErrorCode, HoldfastError } from '../../common/errors.js';
import { CancelReason } from '../../wire/frames/frames.js';

const reasons: Readonly<Record<CancelReason, readonly [code: ErrorCode, why: string]>> = {
  [CancelReason.caller]: ['Cancelled', 'was cancelled by its caller'],
  [CancelReason.deadline]: ['DeadlineExceeded', 'ran past its time'],
  [CancelReason.forceClose]: ['InstanceClosed', 'was aborted because its instance is closed by force or moves away'],
  [CancelReason.fenced]: ['InstanceLost', 'was aborted because its worker has lost its lease'],
  [CancelReason.abandoned]: ['Cancelled', 'was left by its reader'],
  [CancelReason.recalled]: ['Cancelled', 'was recalled by its worker'],
};

/** The reason of a call's abort signal, and the call's answer where its code ends by it. */
export function cancelError(label: string, reason: CancelReason, outcome: 'not-run' | 'ran'): HoldfastError {
  const [code, why] = reasons[reason];
  return new HoldfastError(code, `${label} ${why}`, { outcome });
}
