import type { CallProgress } from '../../../src/common/spawned-call.js';
import { isEnded } from '../../../src/common/spawned-call.js';
import { fragileClasses, poolClasses } from '../app/ledger-app.js';
import type { History } from './history.js';
import type { Operation } from './records.js';

/** What the store says of a spawned call, in truth; null: it knows none. */
export type ProgressOf = (callId: string) => CallProgress | null;

/** R1, R2, R4: what is acknowledged is recorded and ends, once, and what may not run twice does not. */
export function checkSpawned(history: History, progressOf: ProgressOf): void {
  for (const operation of history.operations.values()) {
    if (operation.what === 'spawn') checkOne(history, operation, progressOf);
  }
}

function checkOne(history: History, operation: Operation, progressOf: ProgressOf): void {
  const { id, method, isIdempotent, result, outcome, message } = operation;
  const runs = history.runs.get(id) ?? [];
  const broken = (text: string): void => history.break('spawned', `${id} (${method}) ${text}`);
  if (!isIdempotent && runs.length > 1) broken(`ran ${runs.length} times`);
  if (outcome === 'not-run' && runs.length > 0) broken(`was refused (${result}: ${message}), and ran`);
  const callId = history.spawned.get(id);
  if (result !== 'ok' || callId === undefined) return;
  if (isIdempotent && isPool(operation.instance)) checkPooled(history, operation);
  const progress = progressOf(callId);
  if (progress === null || !isEnded(progress)) return broken(`was spawned and is ${progress?.state ?? 'not recorded'}`);
  const hasCommitted = history.commits.some((commit) => commit.operation === id);
  if (progress.state === 'succeeded' && !hasCommitted) broken('succeeded and is not committed');
  if (progress.state !== 'lost' || !isIdempotent || progress.losses >= 16) return;
  // An instance that is closed, or lost for good, takes its calls with it; no other does.
  const pin = history.lostCalls.get(callId) ?? 'unknown';
  if (!endsWith.has(pin) && !isFragile(operation.instance))
    broken(`may run twice and is lost, while its pin is ${pin}`);
}

/**
 * P4: one that may run again, and whose container has died, runs again in the activation of its pool: before a call that came later,
 * unless the pool was full. A container that was lent may have been dead for long when its borrower hears of it.
 */
function checkPooled(history: History, { id, instance }: Operation): void {
  const runs = history.runs.get(id) ?? [];
  for (const [index, { activation, endedAt }] of runs.entries()) {
    const { epoch, endedAt: diedAt, loan } = activation;
    if (endedAt !== null || diedAt === null || loan !== null || runs[index + 1]?.activation.epoch === epoch) continue;
    const others = [...history.operations.values()].filter((other) => other.instance === instance);
    const wasFull = others.some(({ result, settledAt }) => result === 'PendingLimitExceeded' && settledAt > diedAt);
    const later = others.find(({ id: other, method, startedAt }) => {
      const isLater = startedAt > diedAt + noticedWithinMs && method !== 'look';
      return isLater && history.runs.get(other)?.some((run) => run.activation.epoch === epoch);
    });
    const { name } = activation.process;
    if (later !== undefined && !wasFull)
      history.break('spawned', `${id} was in ${name}, which died: ${later.id} runs in its pool, and it does not`);
  }
}

/** Lost for good with its container: its calls are recorded as lost before its pin is. */
function isFragile(instance: string): boolean {
  return fragileClasses.has(instance.slice(0, instance.indexOf('/')));
}

function isPool(instance: string): boolean {
  return poolClasses.has(instance.slice(0, instance.indexOf('/')));
}

/** From the death of a container to its worker's next step with the calls that it had. */
const noticedWithinMs = 1_000;

/** R4: states of a pin in which its open calls end. */
const endsWith: ReadonlySet<string> = new Set(['closing', 'closed', 'lost', 'gone']);
