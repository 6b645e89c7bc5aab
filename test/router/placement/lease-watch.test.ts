import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BootId } from '../../../src/common/ids.js';
import { defaultLeaseTimes, type LeaseState } from '../../../src/common/lease.js';
import type { LeaseStore } from '../../../src/common/ports/store.js';
import { watchLeases } from '../../../src/router/placement/lease-watch.js';
import { Leases } from '../../../src/router/placement/leases.js';
import { ManualClock } from '../../manual-clock.js';
import { account } from '../harness.js';

const boot = 'boot' as BootId;
const { ttlMs, graceMs } = defaultLeaseTimes;
const everyMs = 500;
let clock: ManualClock;
let leases: Leases;
let endsAt: number;
let isHeard: boolean;
let looks: number;
let closing: AbortController;

beforeEach(() => {
  clock = new ManualClock();
  endsAt = clock.monotonic() + ttlMs;
  isHeard = true;
  looks = 0;
  closing = new AbortController();
  const read: LeaseStore['read'] = async () => {
    const remainingMs = endsAt - clock.monotonic();
    return (remainingMs > 0 ? { phase: 'held', remainingMs } : { phase: 'absent' }) as LeaseState;
  };
  leases = new Leases({ store: { read } as LeaseStore, clock, times: defaultLeaseTimes });
});

afterEach(() => closing.abort());

/** Looks as they are, one round after the other. */
function watch(): void {
  const look: Leases['look'] = async (bootId) => {
    looks += 1;
    return await leases.look(bootId);
  };
  const workers = { boots: (of: string) => (of === account ? [boot] : []), isFresh: () => isHeard };
  void watchLeases({ clock, workers, leases: { look }, accounts: ['other', account] }, closing.signal);
}

/** Resolves when what the round looked at is known. */
async function round(): Promise<void> {
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(everyMs);
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
}

async function rounds(ms: number): Promise<void> {
  for (let at = 0; at < ms; at += everyMs) await round();
}

describe('S8: the lease of a worker that is silent', () => {
  it('has been over for long enough when somebody first asks for what it had', async () => {
    watch();
    isHeard = false;
    await rounds(ttlMs);
    expect(await leases.look(boot)).toEqual({ phase: 'ending', graceMs });
    await rounds(graceMs);
    expect(await leases.look(boot)).toEqual({ phase: 'over' });
    const before = looks;
    await rounds(5_000);
    expect(looks).toBe(before);
  });

  it('is not looked at while the worker is heard', async () => {
    watch();
    await rounds(2 * ttlMs);
    expect(looks).toBe(0);
  });

  it('is as new where the worker is heard again', async () => {
    watch();
    isHeard = false;
    await rounds(ttlMs + 500);
    // Within the quarantine of a store that forgot it, say.
    endsAt = clock.monotonic() + ttlMs;
    isHeard = true;
    await round();
    clock.jump(ttlMs + 1);
    expect(await leases.look(boot)).toEqual({ phase: 'ending', graceMs });
  });
});
