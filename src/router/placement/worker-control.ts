import { HoldfastError } from '../../common/errors.js';
import type { BootId, WorkerId } from '../../common/ids.js';
import type { Bus } from '../../common/ports/bus.js';
import { decodeError } from '../../wire/errors.js';
import { WorkerControl, WorkerControlReply } from '../../wire/gen/holdfast/v1/bus.js';
import { workerControlSubject } from '../../wire/subjects.js';

type Op = NonNullable<WorkerControl['op']>;
type Reply = NonNullable<WorkerControlReply['result']>;
type ReplyTo<Case extends Op['$case']> = Extract<Reply, { readonly $case: Case }>['value'];

/** One boot of a worker, to be asked over the bus. */
export interface Addressee {
  readonly account: string;
  readonly workerId: WorkerId;
  readonly bootId: BootId;
}

/**
 * Asks one boot, and nobody else who took over its worker's name.
 * @throws what the worker answered; Unavailable, outcome `not-run` where nobody listens or another boot does, `unknown` after
 * the timeout; the signal's reason
 */
export async function askWorker<Case extends Op['$case']>(
  bus: Bus,
  to: Addressee,
  ask: { readonly op: Extract<Op, { readonly $case: Case }>; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<ReplyTo<Case>> {
  ask.signal.throwIfAborted();
  const request = WorkerControl.encode({ bootId: to.bootId, op: ask.op }).finish();
  const subject = workerControlSubject(to.account, to.workerId);
  const bytes = await bus.request(subject, request, { timeoutMs: Math.max(1, ask.timeoutMs), signal: ask.signal });
  const { result } = decodeReply(bytes, to);
  if (result?.$case === 'error') throw decodeError(result.value);
  if (result?.$case === 'wrongBoot') {
    throw new HoldfastError('Unavailable', `worker ${to.workerId} runs another boot than ${to.bootId}`);
  }
  if (result?.$case !== ask.op.$case)
    throw malformed(to, `expected ${ask.op.$case}, got ${result?.$case ?? 'nothing'}`);
  return result.value as ReplyTo<Case>;
}

function decodeReply(bytes: Uint8Array, to: Addressee): WorkerControlReply {
  try {
    return WorkerControlReply.decode(bytes);
  } catch (error) {
    throw malformed(to, String(error));
  }
}

function malformed(to: Addressee, why: string): HoldfastError {
  return new HoldfastError('Unavailable', `worker ${to.workerId} answered what is not understood: ${why}`, {
    outcome: 'unknown',
  });
}
