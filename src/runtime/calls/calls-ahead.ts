import type { Mailbox } from '../../common/mailbox.js';
import { CancelReason } from '../../wire/frames/frames.js';
import type { Container } from '../hosting/container.js';
import type { Instance } from '../instances/instance.js';
import type { CallTimers } from './call-timers.js';
import type { WorkerCall } from './worker-call.js';

/**
 * Calls that wait are sent to their container before they have a slot, so that it begins the next one without asking: else a
 * class that runs one call at a time would pay a round trip between two processes for each. Only where calls are quick, since a
 * container that dies leaves them in doubt. They count as waiting until the container says that one before them has ended.
 */
export interface AheadParts {
  readonly mailbox: Mailbox<WorkerCall>;
  readonly timers: CallTimers;
  readonly container: Container;
}

/** Null: nothing may be sent ahead. */
export function aheadParts(
  { container, phase, klass }: Instance,
  mailbox: Mailbox<WorkerCall>,
  timers: CallTimers,
): AheadParts | null {
  // Commands of a session are not quick, and what they start outlives their answers.
  if (container === null || phase !== 'active' || klass.kind === 'sandbox') return null;
  return { mailbox, timers, container };
}

/** What a container that dies leaves in doubt, and what it must give back when the instance moves. */
const mostAhead = 32;
/** Large arguments stay with their sender until the call runs. */
const mostFrameBytes = 4_096;

/** False: it has to wait here. */
export function sendAhead(call: WorkerCall, frame: Buffer, parts: AheadParts | null): boolean {
  if (parts === null) return false;
  const { mailbox, timers, container } = parts;
  if (call.method.generator || call.isKeyed || call.argumentBytesToCome > 0 || frame.length > mostFrameBytes)
    return false;
  if (!mailbox.isQuick || mailbox.ahead >= mostAhead || mailbox.nextToSend() !== call || !container.isUsable)
    return false;
  mailbox.sentAhead(call);
  call.isQueued = true;
  container.start(call, frame, timers.callerMs(call));
  return true;
}

/** As many of those that wait here as may. */
export function sendMoreAhead(parts: AheadParts | null): void {
  if (parts === null) return;
  for (let call = parts.mailbox.nextToSend(); call !== undefined; call = parts.mailbox.nextToSend()) {
    if (call.held === null || !sendAhead(call, call.held, parts)) return;
    call.held = null;
  }
}

/** The container gives back those that it has not begun; the others run. */
export function recallAhead(mailbox: Mailbox<WorkerCall>): void {
  for (const call of mailbox.callsAhead()) {
    call.stopping ??= CancelReason.recalled;
    call.container?.cancel(call, CancelReason.recalled);
  }
}
