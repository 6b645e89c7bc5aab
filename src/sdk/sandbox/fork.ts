import { checkOptions } from '../../common/check-options.js';
import { expected } from '../../common/option-checks.js';
import type { SnapshotAnswer } from '../../common/sandbox-methods.js';
import type { SandboxSession, SessionControls } from './sandbox-session.js';
import type { SessionCalls } from './session-calls.js';

export interface ForkOptions {
  /** Default 1, at most 1 000. */
  readonly count?: number;
}

/** All of the sessions, or none where one cannot be made. @throws NoCapacity, Unavailable, InvalidArgument */
export async function fork(
  calls: SessionCalls,
  open: SessionControls['open'],
  options: ForkOptions = {},
): Promise<SandboxSession[]> {
  checkOptions('fork', options, { count: expected.integer(1, 1_000) });
  const answer = await calls.call<SnapshotAnswer>('snapshot', []);
  const opening = Array.from({ length: options.count ?? 1 }, () => open(answer.fork));
  const settled = await Promise.allSettled(opening);
  const made = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed === undefined) return made;
  // The first error says more.
  await Promise.allSettled(made.map((session) => session.close({ force: true })));
  throw failed.reason;
}
