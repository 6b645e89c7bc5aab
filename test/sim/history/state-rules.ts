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
  const lives = livesWith(history, 'keep');
  const standing = standingLives(history);
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

/** A2: an alarm that was set, and as far as anybody knows was set last, stands or its method has ended. */
export function checkAlarms(history: History, alarmOf: (instance: string) => number | null): void {
  const standing = standingLives(history);
  for (const [life, operations] of livesWith(history, 'arm')) {
    if (!standing.has(life)) continue;
    const runs = operations.flatMap(({ id }) => history.runs.get(id) ?? []);
    const last = runs.toSorted((a, b) => a.startedAt - b.startedAt).at(-1);
    if (last === undefined || history.operations.get(last.operation)?.result !== 'ok') continue;
    const { instance } = last.activation;
    if (!history.rings.has(`${instance}@${last.armedForMs}`) && alarmOf(instance) !== last.armedForMs)
      history.break('alarms', `${last.operation} set the alarm of ${instance} for ${last.armedForMs}: it is gone`);
  }
}

/** Calls of one method, by instance and generation. */
function livesWith(history: History, method: string): Map<string, Operation[]> {
  const lives = new Map<string, Operation[]>();
  for (const operation of history.operations.values()) {
    if (operation.method !== method || history.halfForgotten.has(operation.instance)) continue;
    const life = `${operation.instance}@${operation.generation}`;
    lives.set(life, [...(lives.get(life) ?? []), operation]);
  }
  return lives;
}

/** Instances with generations that are not over. */
function standingLives(history: History): Set<string> {
  const standing = [...history.pins.values()].filter(({ state }) => state !== 'closed');
  return new Set(standing.map(({ identity, generation }) => `${identity.className}/${identity.id}@${generation}`));
}
