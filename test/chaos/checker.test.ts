import { describe, expect, test } from 'vitest';
import { check } from './checker.js';
import type { LedgerLine } from './fixtures/ledger-app.js';
import type { Call } from './load.js';

const world = { windows: [], mayOverlap: false };

function line(event: LedgerLine['event'], epoch: number, call?: string): LedgerLine {
  return { event, instance: 'i', epoch, ...(call === undefined ? {} : { call }) };
}

function call(number: number, set: Partial<Call> = {}): Call {
  return {
    ...{ id: `c/i/${number}`, caller: 'c', instance: 'i', number, method: 'append' },
    ...{ startedAt: number, settledAt: number + 1, result: 'ok', outcome: null },
    ...set,
  };
}

const [first, second] = ['c/i/1', 'c/i/2'];
const good = [line('enter', 5), line('begin', 5, first), line('commit', 5, first), line('exit', 5)];

describe('the checker of the ledger', () => {
  test('finds nothing in a life that keeps every rule, nor in the next one', () => {
    const lines = [...good, line('enter', 7), line('begin', 7, second), line('commit', 7, second)];
    expect(check(lines, [call(1), call(2)], world)).toEqual({
      violations: [],
      calls: 2,
      unknown: 0,
      successPercent: 100,
    });
  });

  test.each([
    [
      'a commit of an older epoch',
      [...good, line('enter', 7), line('commit', 7), line('commit', 5)],
      /commit .* after a commit at 7/,
    ],
    [
      'code beside that of its successor',
      [line('enter', 5), line('enter', 7), line('begin', 5)],
      /after the beginning of 7/,
    ],
    ['a call before enter', [line('begin', 5)], /before enter/],
    ['a second enter', [line('enter', 5), line('enter', 5)], /a second time/],
    ['code after exit', [...good, line('begin', 5)], /after exit/],
    ['a second exit', [...good, line('exit', 5)], /after exit/],
  ])('sees %s', (_what, lines, expected) => {
    expect(check(lines, [call(1, { result: 'Cancelled' })], world).violations.join('\n')).toMatch(expected);
  });

  test.each([
    { what: 'an answer without a commit', lines: good.slice(0, 2), calls: [call(1)], sees: /and is not committed/ },
    {
      what: 'a call that ran twice',
      lines: [...good.slice(0, 2), line('begin', 5, first)],
      calls: [call(1, { result: 'OutcomeUnknown' })],
      sees: /ran 2 times/,
    },
    {
      what: 'one that ran and said that it did not',
      lines: good,
      calls: [call(1, { result: 'Unavailable', outcome: 'not-run' })],
      sees: /failed as not run/,
    },
    {
      what: 'calls that overtake',
      lines: [line('enter', 5), line('begin', 5, second), line('begin', 5, first)],
      calls: [call(1), call(2)],
      sees: /began after/,
    },
    {
      what: 'that hardly anything succeeds',
      lines: good,
      calls: [call(1), call(2, { result: 'Unavailable' })],
      sees: /only 50\.0 %/,
    },
    { what: 'that nothing happened', lines: [], calls: [], sees: /only 0\.0 %/ },
  ])('sees $what', ({ lines, calls, sees }) => {
    expect(check(lines, calls, world).violations.join('\n')).toMatch(sees);
  });

  test('asks nothing of calls within a fault but what holds always, and excuses code that nobody could end', () => {
    const lines = [line('enter', 5), line('enter', 7), line('begin', 5, second)];
    const calls = [call(0, { id: 'x', method: 'put' }), call(2, { result: 'OutcomeUnknown', outcome: 'unknown' })];
    const windows = [{ from: 1.5, to: 9 }];
    const verdict = check([...lines, line('commit', 7, 'x')], calls, { windows, mayOverlap: true });
    expect(verdict).toMatchObject({ violations: [], unknown: 1, successPercent: 100 });
  });
});
