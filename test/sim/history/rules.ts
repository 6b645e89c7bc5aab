import { poolClasses } from '../app/ledger-app.js';
import type { History } from './history.js';
import type { Activation, Operation } from './records.js';

/** Tolerance of clocks that differ in rate. */
const clockSlackMs = 1;

/** What can be judged only when all is over. */
export function checkRules(history: History, now: number): void {
  for (const instance of history.instances) {
    checkOrder(history, instance);
    checkGenerations(history, instance);
  }
  checkActivations(history);
  checkFencedWrites(history);
  for (const operation of history.operations.values()) {
    checkOutcome(history, operation);
    checkGone(history, operation);
    checkDeadline(history, operation, now);
  }
  for (const [operation, runs] of history.runs) {
    if (operation.endsWith('/inner') && runs.length > 1)
      history.break('at-most-once', `${operation} ran ${runs.length} times`);
  }
}

/** S7, S8. A machine that stood still may end too late: then the lease bounds it, and `fenced-writes` what it can do. */
function checkActivations(history: History): void {
  const byInstance = new Map<string, Activation[]>();
  for (const activation of history.activations) {
    const known = byInstance.get(activation.instance) ?? [];
    known.push(activation);
    byInstance.set(activation.instance, known);
  }
  for (const [instance, activations] of byInstance) {
    if (isPool(instance)) {
      checkPool(history, activations);
      continue;
    }
    let newest: Activation | null = null;
    for (const activation of activations) {
      if (newest !== null) checkPair(history, newest, activation);
      newest = activation;
    }
  }
}

/**
 * P1: an activation of a pool is in several containers, and none of them outlives it. What others have lent to a worker that is lost may
 * do so until the end of its lease (P7): `checkLoans`.
 */
function checkPool(history: History, containers: readonly Activation[]): void {
  for (const [index, after] of containers.entries()) {
    for (const before of containers.slice(0, index)) {
      if (before.epoch !== after.epoch && before.loan === null) checkPair(history, before, after);
    }
  }
}

function isPool(instance: string): boolean {
  return poolClasses.has(instance.slice(0, instance.indexOf('/')));
}

function checkPair(history: History, before: Activation, after: Activation): void {
  const text = `${after.instance}: activation at ${after.epoch} in ${after.process.name}, at ${before.epoch} in ${before.process.name} before it`;
  if (after.epoch < before.epoch) history.break('one-activation', `${text}: an older epoch`);
  if (after.epoch === before.epoch && after.process !== before.process)
    history.break('one-activation', `${text}: the same epoch in two containers`);
  const endedAt = before.endedAt ?? Infinity;
  if (after.epoch === before.epoch || endedAt <= after.startedAt + clockSlackMs) return;
  if (before.wasUnguarded) return;
  history.break(
    'one-activation',
    `${text} ended ${endedAt === Infinity ? 'never' : `${Math.round(endedAt - after.startedAt)} ms later`}`,
  );
}

function checkFencedWrites(history: History): void {
  const newest = new Map<string, number>();
  for (const { instance, epoch, operation } of history.commits) {
    const before = newest.get(instance) ?? 0;
    if (epoch < before)
      history.break('fenced-writes', `${operation} of ${instance} commits at ${epoch}, after ${before} has`);
    newest.set(instance, Math.max(before, epoch));
  }
}

/** Others may have run before with the key; a generator begins when it is first asked. */
const unordered: ReadonlySet<string> = new Set(['once', 'count']);

/** C2: of calls that run at most once, each caller's begin in its order; of a pool, in each container. Others may run again, later. */
function checkOrder(history: History, instance: string): void {
  const last = new Map<string, Operation>();
  for (const { operation: id, activation } of history.ledger(instance)) {
    const operation = history.operations.get(id);
    if (operation === undefined || operation.isIdempotent || unordered.has(operation.method)) continue;
    const container = isPool(instance) ? `:${activation.number}` : '';
    const lane = `${operation.caller}:${operation.generation}${container}`;
    const before = last.get(lane);
    if (
      before !== undefined &&
      before.number > operation.number &&
      !operation.hasLargeArguments &&
      !before.hasLargeArguments
    )
      history.break(
        'order',
        `${id} (${operation.number}.) runs after ${before.id} (${before.number}.) of the same caller in ${instance}`,
      );
    last.set(lane, operation);
  }
}

/** S12. */
function checkGenerations(history: History, instance: string): void {
  for (const { operation: id, activation } of history.ledger(instance)) {
    const wanted = history.operations.get(id)?.generation ?? null;
    const ran = history.generations.get(`${instance}@${activation.epoch}`);
    if (wanted !== null && ran !== undefined && wanted !== ran)
      history.break('generation', `${id} is for generation ${wanted} of ${instance} and ran in ${ran}`);
  }
}

/** C6. */
function checkOutcome(history: History, operation: Operation): void {
  if (operation.what !== 'call') return;
  const { id, method, isIdempotent, result, outcome, key } = operation;
  const runs = history.runs.get(id) ?? [];
  if (!isIdempotent && key === null && runs.length > 1)
    history.break('at-most-once', `${id} (${method}) ran ${runs.length} times`);
  if (outcome === 'not-run' && runs.length > 0 && !isIdempotent && key === null)
    history.break('at-most-once', `${id} (${method}) failed as not run (${result}: ${operation.message}), and ran`);
  if (result !== 'ok' || key !== null) return;
  if (runs.length === 0 && method !== 'count')
    history.break('acknowledged', `${id} (${method}) succeeded and never ran`);
  const mustCommit = method === 'append' || method === 'put';
  if (mustCommit && !history.commits.some((commit) => commit.operation === id))
    history.break('acknowledged', `${id} (${method}) succeeded and is not committed`);
}

/** S2, S12: an instance that a client knows is gone only where somebody has closed it. What `relay` says may be of another one. */
function checkGone(history: History, { id, instance, method, result, settledAt }: Operation): void {
  if (result !== 'InstanceGone' || method === 'relay' || history.halfForgotten.has(instance)) return;
  const isClosed = [...history.operations.values()].some(
    (other) => other.what === 'close' && other.instance === instance && other.startedAt <= settledAt,
  );
  if (!isClosed) history.break('generation', `${id} (${method}) finds ${instance} gone, which nobody has closed`);
}

function checkDeadline(history: History, operation: Operation, now: number): void {
  const { id, process, dueAt, result, settledAt, stoppedMs } = operation;
  if (result === null && !process.isAlive) return;
  const end = result === null ? now : settledAt;
  const stood = process.stoppedMs - stoppedMs;
  if (end > dueAt + stood)
    history.break(
      'deadline',
      `${operation.what} ${id} (${operation.method}) was settled ${Math.round(end - dueAt - stood)} ms too late: ${result ?? 'not at all'}`,
    );
}
