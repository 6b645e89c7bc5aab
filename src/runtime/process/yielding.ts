import type { Clock } from '../../common/clock.js';
import type { YieldingGroup } from './cgroups.js';

const lookEveryMs = 250;
/** Of one core. */
const busyShare = 0.1;

/**
 * Calls of classes must not feel what a sandbox does, and sandboxes must not starve (ADR 93).
 *
 * I1. What yields and has used a tenth of a core since the last look gives way to everything else on the host; what has used less
 *     has its share. So who wants a core and gets none has its share after the next look: of what others want all of, half of it.
 *
 * @param onLook told whether it gives way, four times a second
 * @returns ends that, and leaves it with its share
 */
export function keepYielding(group: YieldingGroup, clock: Clock, onLook: (isBusy: boolean) => void): () => void {
  let at = clock.monotonic();
  let usedMs = group.usedMs();
  let timer = clock.after(lookEveryMs, look);
  function look(): void {
    const [lastAt, lastUsedMs] = [at, usedMs];
    at = clock.monotonic();
    usedMs = group.usedMs();
    const isBusy = usedMs - lastUsedMs >= busyShare * (at - lastAt);
    group.giveWay(isBusy);
    onLook(isBusy);
    timer = clock.after(lookEveryMs, look);
  }
  return () => {
    timer.cancel();
    group.giveWay(false);
  };
}
