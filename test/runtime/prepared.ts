import type { ScriptedContainer } from './scripted-container.js';
import { until } from './until.js';
import type { WorkerWorld } from './worker-world.js';

/** Those that have loaded a class and have no instance. */
export function preparedOf({ starter }: WorkerWorld): ScriptedContainer[] {
  return starter.running.filter(({ loaded, slots }) => loaded !== null && slots.size === 0);
}

/** Containers are started, and prepared, a moment after one was taken: only that moment passes. */
export async function momentUntil({ clock }: WorkerWorld, holds: () => boolean): Promise<void> {
  let leftMs = 200;
  await until(() => {
    if (leftMs-- > 0) clock.advance(1);
    return holds();
  });
}
