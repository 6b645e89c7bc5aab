import { checkOptions } from '../../common/check-options.js';
import { expected } from '../../common/option-checks.js';
import type { SnapshotAnswer } from '../../common/sandbox-methods.js';
import { type CallLimits, Limits, limitChecks } from '../calls/call-limits.js';
import type { SandboxSession } from './sandbox-session.js';
import { type SessionCalls, within } from './session-calls.js';
import type { SessionControls } from './session-controls.js';

/** How many, and how long for all of them. */
export interface ForkOptions extends CallLimits {
  /** Default 1, at most 1 000. */
  readonly count?: number;
}

/** All of the sessions, or none where one cannot be made. @throws NoCapacity, Unavailable, InvalidArgument */
export async function fork(
  calls: SessionCalls,
  open: SessionControls['open'],
  options: ForkOptions = {},
): Promise<SandboxSession[]> {
  checkOptions('fork', options, { ...limitChecks, count: expected.integer(1, 1_000) });
  const limits = Limits.of(calls.clock, `fork of ${calls.label}`, options);
  const answer = await within(limits, calls).call<SnapshotAnswer>('snapshot', []);
  const opening = Array.from({ length: options.count ?? 1 }, () => open(answer.fork, limits?.rest));
  const settled = await Promise.allSettled(opening);
  const made = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed === undefined) return made;
  // The first error says more.
  await Promise.allSettled(made.map((session) => session.close({ force: true })));
  throw failed.reason;
}
