import type { Clock } from '../../common/clock.js';
import type { Bus } from '../../common/ports/bus.js';
import { RouterHeartbeat } from '../../wire/gen/holdfast/v1/bus.js';
import { routerHeartbeatSubject } from '../../wire/subjects.js';

const everyMs = 1_000;

/** Tells workers once a second where this router is, for the containers that ask through them. Ends at the signal. */
export async function beatForEver(
  parts: { readonly bus: Bus; readonly clock: Clock; readonly accounts: readonly string[] },
  router: { readonly routerId: string; readonly address: string },
  closed: AbortSignal,
): Promise<void> {
  const beat = RouterHeartbeat.encode(router).finish();
  while (!closed.aborted) {
    for (const account of parts.accounts) parts.bus.publish(routerHeartbeatSubject(account, router.routerId), beat);
    // Aborted: the condition sees it.
    await parts.clock.sleep(everyMs, closed).catch(() => undefined);
  }
}
