import type { Clock } from '../../common/clock.js';
import type { BootId } from '../../common/ids.js';
import type { Leases } from './leases.js';
import type { Workers } from './workers.js';

const everyMs = 500;

/**
 * Looks at the leases of workers that have fallen silent, until the signal: so that the time that everybody waits after the end of a
 * lease (S8) has begun, or is over, when somebody asks for what such a worker had. A client may notice the silence after that.
 */
export async function watchLeases(
  parts: {
    readonly clock: Clock;
    readonly workers: Pick<Workers, 'boots' | 'isFresh'>;
    readonly leases: Pick<Leases, 'look'>;
    readonly accounts: readonly string[];
  },
  closed: AbortSignal,
): Promise<void> {
  const { clock, workers, leases, accounts } = parts;
  /** Whether the lease was over when it was looked at last. */
  let silent: ReadonlyMap<BootId, boolean> = new Map();
  while (!closed.aborted) {
    await clock.sleep(everyMs, closed).catch(() => undefined); // closed: the condition sees it
    if (closed.aborted) return;
    const looks = accounts
      .flatMap((account) => [...workers.boots(account)])
      // One that is heard again is looked at once more: how its lease was before must not count later.
      .filter((boot) => !workers.isFresh(boot) || silent.has(boot))
      .map(async (boot): Promise<readonly [BootId, boolean]> => {
        const isStillOver = silent.get(boot) === true && !workers.isFresh(boot);
        return [boot, isStillOver || (await isOver(leases, boot))];
      });
    silent = new Map((await Promise.all(looks)).filter(([boot]) => !workers.isFresh(boot)));
  }
}

/** A store that is away, or in quarantine, is asked again in the next round. */
function isOver(leases: Pick<Leases, 'look'>, boot: BootId): Promise<boolean> {
  return leases.look(boot).then(
    ({ phase }) => phase === 'over',
    () => false,
  );
}
