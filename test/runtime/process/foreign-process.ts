import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that is not our child gives no event when it ends, so it is looked at. Zombies have ended. */
export async function goneProcess(pid: number): Promise<void> {
  while (isRunning(pid)) await delay(5);
}

export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
