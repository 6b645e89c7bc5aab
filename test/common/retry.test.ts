import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/adapters/system/clock.js';
import { HoldfastError } from '../../src/common/errors.js';
import type { RetryPolicy } from '../../src/common/manifest.js';
import { resolveClassOptions } from '../../src/common/options.js';
import { mayRetry, pauseMs, retryDelayMs } from '../../src/common/retry.js';
import { RetryBudget } from '../../src/common/retry-budget.js';
import { ManualClock } from '../manual-clock.js';

const policyOf = (retries: Parameters<typeof resolveClassOptions>[1]): RetryPolicy =>
  resolveClassOptions('class X', retries).retries;
const thrown = (cause: unknown) => new HoldfastError('UserError', 'x', { outcome: 'ran', cause });
const fixed = (next: number) => ({ ...systemRandom, next: () => next });

describe('the options that say how often a call is retried', () => {
  const standard = { initialDelayMs: 1_000, backoffCoefficient: 2, maxDelayMs: 60_000 };
  it.each([
    [{}, { maxRetries: 0, ...standard }],
    [{ retries: 3 }, { maxRetries: 3, ...standard }],
    [{ maxRetries: 4 }, { maxRetries: 4, ...standard }],
    [
      { retries: 0, maxRetries: 4 },
      { maxRetries: 0, ...standard },
    ],
    [{ retries: { maxRetries: 2 } }, { maxRetries: 2, ...standard }],
    [
      { retries: { maxRetries: 1, initialDelayMs: 0, backoffCoefficient: 1, maxDelayMs: 5 }, maxRetries: 9 },
      { maxRetries: 1, initialDelayMs: 0, backoffCoefficient: 1, maxDelayMs: 5 },
    ],
  ])('%j', (given, policy) => {
    expect(policyOf(given)).toEqual(policy);
  });

  it.each([
    [{ retries: -1 }],
    [{ retries: 1.5 }],
    [{ retries: {} }],
    [{ retries: { maxRetries: 1, initialDelayMs: -1 } }],
    [{ retries: { maxRetries: 1, backoffCoefficient: 0.5 } }],
    [{ retries: { maxRetries: 1, delay: 5 } }],
    [{ maxRetries: 1_001 }],
    [{ maxRetries: '3' }],
  ])('%j is refused', (given) => {
    expect(() => policyOf(given as never)).toThrow(/retries|maxRetries|Retries/);
  });
});

describe('whether a call is retried', () => {
  const policy = policyOf({ retries: 2 });
  it.each<[string, HoldfastError, number, boolean]>([
    ['what the code threw', thrown(new Error('x')), 1, true],
    ['at the last attempt but one', thrown(new Error('x')), 2, true],
    ['at the last attempt', thrown(new Error('x')), 3, false],
    ['nonRetryable', thrown(Object.assign(new Error('x'), { nonRetryable: true })), 1, false],
    ['nonRetryable: false', thrown(Object.assign(new Error('x'), { nonRetryable: false })), 1, true],
    ['nonRetryable of a plain object', thrown({ nonRetryable: true }), 1, false],
    ['a thrown text', thrown('x'), 1, true],
    ['nothing thrown', thrown(undefined), 1, true],
    ['overload', new HoldfastError('PendingLimitExceeded', 'x'), 1, false],
    ['an unknown outcome', new HoldfastError('OutcomeUnknown', 'x', { outcome: 'unknown' }), 1, false],
    ['a timeout', new HoldfastError('DeadlineExceeded', 'x', { outcome: 'ran' }), 1, false],
    ['a cancel', new HoldfastError('Cancelled', 'x', { outcome: 'ran' }), 1, false],
    ['no memory', new HoldfastError('OutOfMemory', 'x', { outcome: 'unknown' }), 1, false],
  ])('%s', (...[_, error, attempt, isRetried]) => {
    expect(mayRetry(policy, error, attempt)).toBe(isRetried);
  });
});

describe('the pause before an attempt', () => {
  it.each([
    [1, 0, 50],
    [1, 0.999, 100],
    [2, 0.999, 200],
    [3, 0, 200],
    [4, 0.999, 500],
    [400, 0.999, 500],
  ])('after %i failures, at chance %f', (failed, chance, ms) => {
    const policy = { maxRetries: 500, initialDelayMs: 100, backoffCoefficient: 2, maxDelayMs: 500 };
    expect(Math.round(retryDelayMs(policy, failed, fixed(chance)))).toBe(ms);
  });

  it('is never longer than its bound, nor shorter than half of what it would be', () => {
    const policies = fc.record({
      maxRetries: fc.nat(1_000),
      initialDelayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
      backoffCoefficient: fc.double({ min: 1, max: 10, noNaN: true }),
      maxDelayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    });
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 1_000 }), (policy, failed) => {
        const full = Math.min(policy.initialDelayMs * policy.backoffCoefficient ** (failed - 1), policy.maxDelayMs);
        const ms = retryDelayMs(policy, failed, systemRandom);
        if (policy.initialDelayMs === 0) return;
        expect(ms).toBeLessThanOrEqual(policy.maxDelayMs);
        expect(ms).toBeGreaterThanOrEqual(full / 2);
      }),
    );
  });
});

describe('the budget of retries', () => {
  const policy = policyOf({ retries: { maxRetries: 5, initialDelayMs: 0 } });

  function world(mostWaitMs: number) {
    const [clock, budget] = [new ManualClock(), new RetryBudget()];
    const pause = () => pauseMs({ policy, budget, attempt: 1, clock, random: fixed(0), mostWaitMs });
    return { clock, budget, pause };
  }

  it('lets a burst through, then so many a second, however many calls fail', () => {
    const { pause } = world(1_000);
    const pauses = Array.from({ length: 1_000 }, pause);
    expect(pauses.filter((ms) => ms === 0)).toHaveLength(50);
    expect(pauses.filter((ms) => ms !== null)).toHaveLength(60);
    expect(Math.max(...pauses.map((ms) => ms ?? 0))).toBe(1_000);
  });

  it('gives back with time and with calls that succeed, and never more than a burst', () => {
    const { clock, budget, pause } = world(0);
    for (let i = 0; i < 50; i += 1) expect(pause()).toBe(0);
    expect(pause()).toBeNull();
    clock.advance(100);
    expect([pause(), pause()]).toEqual([0, null]);
    for (let i = 0; i < 5; i += 1) budget.succeeded();
    expect([pause(), pause()]).toEqual([0, null]);
    clock.advance(3_600_000);
    expect(Array.from({ length: 60 }, pause).filter((ms) => ms === 0)).toHaveLength(50);
  });

  it('holds what can wait back instead of refusing it', () => {
    const { pause } = world(Number.POSITIVE_INFINITY);
    const pauses = Array.from({ length: 1_050 }, pause);
    expect(pauses.at(-1)).toBeCloseTo(100_000, 3);
  });
});
