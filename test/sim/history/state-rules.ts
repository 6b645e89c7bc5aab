import { limitsOf } from '../app/ledger-app.js';
import type { History } from './history.js';
import type { Operation } from './records.js';

/**
 * What `keep` answered against what the store has at the end (D3–D5): each acknowledged write of the generation that stands is there;
 * where one call runs at a time none has the count of another, or one that is not higher than that of one that had been answered
 * before it began; and no count is higher than calls were made in that generation.
 * @param isKept whether the store has what the operation wrote
 */
export function checkState(history: History, isKept: (instance: string, operation: string) => boolean): void {
  const lives = new Map<string, Operation[]>();
  for (const operation of history.operations.values()) {
    if (operation.method !== 'keep') continue;
    const life = `${operation.instance}@${operation.generation}`;
    lives.set(life, [...(lives.get(life) ?? []), operation]);
  }
  const standing = new Set(
    [...history.pins.values()]
      .filter(({ state }) => state !== 'closed')
      .map(({ identity, generation }) => `${identity.className}/${identity.id}@${generation}`),
  );
  for (const [life, operations] of lives) {
    const answered = operations.filter(({ result }) => result === 'ok');
    for (const { id, instance } of standing.has(life) ? answered : []) {
      if (!isKept(instance, id)) history.break('durable-state', `${id} was answered, and ${life} has nothing of it`);
    }
    const most = Math.max(0, ...answered.map(({ count }) => count ?? 0));
    const runs = operations.filter(({ id }) => history.runs.has(id)).length;
    if (most > runs) history.break('durable-state', `${life} has counted ${most} of ${runs} calls`);
    const [className = ''] = life.split('/');
    if (limitsOf[className]?.concurrentRequests === 1) checkCounts(history, answered);
  }
}

/** Each count is higher than all that were known when its call was made. */
function checkCounts(history: History, answered: readonly Operation[]): void {
  const seen = new Map<number, string>();
  for (const { id, instance, count, startedAt } of answered) {
    const other = seen.get(count ?? 0);
    if (other !== undefined) history.break('durable-state', `${id} and ${other} both counted ${count} in ${instance}`);
    seen.set(count ?? 0, id);
    const later = answered.find((before) => before.settledAt < startedAt && (before.count ?? 0) >= (count ?? 0));
    if (later !== undefined)
      history.break('durable-state', `${id} counted ${count} in ${instance}, ${later.id} had counted ${later.count}`);
  }
}
