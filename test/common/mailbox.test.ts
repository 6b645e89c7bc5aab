import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Mailbox, type MailboxCall } from '../../src/common/mailbox.js';
import { ManualClock } from '../manual-clock.js';

interface Call extends MailboxCall<Call> {
  readonly callId: string;
}

let made = 0;
function call(init: Partial<Pick<Call, 'callId' | 'chain' | 'concurrent'>> = {}): Call {
  const links = { list: null, previous: null, next: null };
  return { callId: `c${++made}`, chain: null, concurrent: false, startedAt: 0, ...links, ...init };
}

function mailbox(concurrentRequests: number, maxPendingTasks: number, clock = new ManualClock()): Mailbox<Call> {
  return new Mailbox<Call>({ concurrentRequests, maxPendingTasks }, clock);
}

describe('Mailbox', () => {
  it('runs up to concurrentRequests, lets maxPendingTasks wait and refuses the next one with the numbers', () => {
    const box = mailbox(2, 1);
    const verdicts = [call(), call(), call(), call()].map((c) => box.admit(c));
    expect(verdicts.map((v) => v.verdict)).toEqual(['run', 'run', 'wait', 'full']);
    expect(verdicts[3]).toMatchObject({ limit: 1, pending: 1 });
  });

  it('gives a freed slot to the call that has waited longest, never to a newcomer', () => {
    const box = mailbox(1, 2);
    const [first, second, third] = [call(), call(), call()];
    for (const c of [first, second, third]) box.admit(c);
    expect(box.release(first)).toBe(second);
    expect(box.admit(call()).verdict).toBe('wait');
    expect(box.release(second)).toBe(third);
  });

  it('frees a slot once, however often its call is released', () => {
    const box = mailbox(1, 5);
    const [first, second, third] = [call(), call(), call()];
    for (const c of [first, second, third]) box.admit(c);
    expect(box.release(first)).toBe(second);
    expect(box.release(first)).toBeUndefined();
    expect(box.running).toBe(1);
  });

  it('refuses a call whose own chain holds every slot, and lets it wait where another call holds one', () => {
    const box = mailbox(2, 5);
    const [a, b] = [call(), call()];
    box.admit(a);
    box.admit(b);
    const link = (c: Call) => ({ callId: c.callId, label: `label of ${c.callId}` });
    expect(box.admit(call({ chain: [link(a)] })).verdict).toBe('wait');
    expect(box.admit(call({ chain: [link(a), link(b)] }))).toEqual({
      verdict: 'deadlock',
      chain: [`label of ${a.callId}`, `label of ${b.callId}`],
    });
  });

  it('runs readers beside a call that holds the only slot', () => {
    const box = mailbox(1, 1);
    box.admit(call());
    const reader = call({ concurrent: true });
    expect(box.admit(reader).verdict).toBe('run');
    expect(box.admit(call()).verdict).toBe('wait');
    expect(box.release(reader)).toBeUndefined();
    expect(box.running).toBe(1);
  });

  it('says in retryAfterMs about how long the queue takes', () => {
    const clock = new ManualClock();
    const box = mailbox(1, 0, clock);
    for (let i = 0; i < 100; i++) {
      const c = call();
      box.admit(c);
      clock.advance(80);
      box.release(c);
    }
    box.admit(call());
    const refused = box.admit(call());
    expect(refused.verdict === 'full' && Math.round(refused.retryAfterMs / 10)).toBe(8);
  });

  it('keeps its limits exact and its order first in first out under any sequence of events', () => {
    const step = fc.oneof(fc.constant('admit'), fc.constant('release'), fc.constant('withdraw'));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 4 }),
        fc.array(step),
        (slots, pending, steps) => {
          const box = mailbox(slots, pending);
          const running: Call[] = [];
          const waiting: Call[] = [];
          for (const what of steps) {
            if (what === 'admit') {
              const c = call();
              const expected = running.length < slots ? 'run' : waiting.length < pending ? 'wait' : 'full';
              expect(box.admit(c).verdict).toBe(expected);
              if (expected === 'run') running.push(c);
              if (expected === 'wait') waiting.push(c);
            } else if (what === 'release' && running.length > 0) {
              const next = waiting.shift();
              expect(box.release(running.shift() as Call)).toBe(next);
              if (next !== undefined) running.push(next);
            } else if (what === 'withdraw' && waiting.length > 0) {
              expect(box.withdraw(waiting.pop() as Call)).toBe(true);
            }
            expect([box.running, box.pending]).toEqual([running.length, waiting.length]);
          }
        },
      ),
    );
  });
});
