import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shortDuration } from '../../src/cli/output/durations.js';
import { errorDocument, errorLines, reportError } from '../../src/cli/output/errors.js';
import { exitCodeOf, exitCodesHelp } from '../../src/cli/output/exit-codes.js';
import { toJson } from '../../src/cli/output/json-value.js';
import { createProcessLog } from '../../src/cli/output/process-log.js';
import { withProgress } from '../../src/cli/output/progress.js';
import { tableLines } from '../../src/cli/output/table.js';
import { valueText } from '../../src/cli/output/value.js';
import { wrapped } from '../../src/cli/output/wrapped.js';
import { HoldfastError } from '../../src/common/errors.js';
import { decodeError, encodeUserError } from '../../src/wire/errors.js';
import { ManualClock } from '../manual-clock.js';
import { fakeTerminal } from './fake-terminal.js';

describe('an error', () => {
  it('is one line with its code and what was said', () => {
    const error = new HoldfastError('NotFound', "app 'demo' has no class 'X'; it has: Counter");
    expect(errorLines(error, fakeTerminal())).toEqual(["error NotFound: app 'demo' has no class 'X'; it has: Counter"]);
  });

  it('of a kind that people can act on ends with the next step', () => {
    const lines = errorLines(new HoldfastError('Unauthenticated', 'no token for h:1'), fakeTerminal());
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^ {2}next: .*holdfast token create/);
  });

  it('is broken between words on a terminal, a command to copy never within, and left as it is elsewhere', () => {
    const error = new HoldfastError(
      'InvalidArgument',
      'no cluster to talk to: start one with `holdfast dev`, or say which',
    );
    expect(errorLines(error, fakeTerminal(58))).toEqual([
      'error InvalidArgument: no cluster to talk to: start one',
      '  with `holdfast dev`, or say which',
    ]);
    expect(errorLines(error, fakeTerminal(72))[1]).toMatch(/^ {2}`holdfast dev`,/);
    expect(errorLines(error, fakeTerminal())).toHaveLength(1);
  });

  it('keeps every word, however narrow the terminal is', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'bb', ' ', '`', "'", '\t'), maxLength: 120 });
    fc.assert(
      fc.property(text, fc.integer({ min: 3, max: 40 }), (said, width) => {
        const lines = wrapped(said, width);
        expect(lines.join(' ').split(/\s+/).filter(Boolean)).toEqual(said.split(/\s+/).filter(Boolean));
        const tooWide = lines.filter((line) => line.length > width);
        expect(tooWide.filter((line) => !/^\s*(`[^`]*`\S*|'[^']*'\S*|\S+)$/.test(line))).toEqual([]);
      }),
    );
  });

  it("of the user's code comes with its own stack, indented, and its causes", () => {
    const thrown = new RangeError('too much', { cause: new TypeError('inner') });
    const lines = errorLines(decodeError(encodeUserError(thrown)), fakeTerminal());
    expect(lines[0]).toBe('error UserError: RangeError: too much');
    expect(lines[1]).toMatch(/^ {4}at .*output\.test\.ts/);
    expect(lines.some((line) => line.includes('caused by TypeError: inner'))).toBe(true);
    expect(lines.some((line) => line.includes('node:internal'))).toBe(false);
  });

  it('shows places in the deployed module, not in a copy of it on some worker, and none of the runtime', () => {
    const thrown = new RangeError('too much');
    thrown.stack = [
      'RangeError: too much',
      '    at Basket.add (/var/lib/holdfast/w1/bundles/src/app.ts:11:24)',
      '    at file:///node_modules/holdfast/dist/cli/container-main.js:4732:52',
      '    at AsyncLocalStorage.run (node:async_hooks:346:14)',
    ].join('\n');
    const lines = errorLines(decodeError(encodeUserError(thrown)), fakeTerminal());
    expect(lines).toEqual(['error UserError: RangeError: too much', '    at Basket.add (src/app.ts:11:24)']);
  });

  it('is one JSON document where that is asked for, with code, outcome, details and cause', () => {
    const terminal = fakeTerminal();
    const error = new HoldfastError('PendingLimitExceeded', 'full', {
      details: { limit: 2n, retryAfterMs: 5 },
      cause: new Error('why'),
    });
    reportError(error, terminal, { json: true });
    expect(terminal.out).toEqual([]);
    expect(terminal.err).toHaveLength(1);
    expect(JSON.parse(terminal.err[0] ?? '')).toMatchObject({
      error: { code: 'PendingLimitExceeded', outcome: 'not-run', details: { limit: '2' }, cause: { message: 'why' } },
    });
  });

  it('that is nobody’s is Internal, whatever was thrown', () => {
    expect(errorDocument('text')).toEqual({ code: 'Internal', message: 'text' });
    expect(errorLines(undefined, fakeTerminal())).toEqual(['error Internal: undefined']);
  });

  it('has the exit code that the help page promises', () => {
    const promised = [...exitCodesHelp.replaceAll(/\n {5}/g, ' ').matchAll(/^ {2}(\d) {2}[^:\n]+: ([A-Za-z, ]+)$/gm)];
    const pairs = promised.flatMap(([, exitCode, codes = '']) =>
      codes.split(', ').map((code) => [code.trim(), Number(exitCode)] as const),
    );
    expect(pairs).toHaveLength(13);
    for (const [code, exitCode] of pairs)
      expect(exitCodeOf(new HoldfastError(code as 'NotFound', '')), code).toBe(exitCode);
    expect(exitCodeOf(new HoldfastError('Deadlock', ''))).toBe(7);
    expect(exitCodeOf(new Error('x'))).toBe(7);
  });
});

describe('JSON output', () => {
  it('has a form for every value that a method can answer with', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    const value = {
      date: new Date(0),
      big: 12n,
      bytes: new Uint8Array([1, 2]),
      floats: new Float32Array([0.5]),
      map: new Map([['k', new Set([1])]]),
      nothing: undefined,
      error: Object.assign(new Error('no'), { status: 4 }),
      pattern: /x/g,
      notANumber: Number.NaN,
      cyclic,
    };
    expect(JSON.parse(toJson(value))).toEqual({
      date: '1970-01-01T00:00:00.000Z',
      big: '12',
      bytes: 'AQI=',
      floats: [0.5],
      map: [['k', [1]]],
      nothing: null,
      error: { name: 'Error', message: 'no', status: 4 },
      pattern: '/x/g',
      notANumber: null,
      cyclic: { self: '[circular]' },
    });
    expect(toJson(undefined)).toBe('null');
  });

  it('leaves JSON values as they are', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(toJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('a table', () => {
  const columns = [
    { title: 'NAME', shrinksTo: 6 },
    { title: 'N', align: 'right' },
    { title: 'NOTE', shrinksTo: 6 },
  ] as const;

  it('is never wider than the terminal, and cuts what may be cut', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ maxLength: 90 }), fc.nat(), fc.string({ maxLength: 90 }))), (rows) => {
        const printable = rows.map(([a, n, b]) => [
          a.replaceAll(/[^\x21-\x7e]/g, '.'),
          `${n}`,
          b.replaceAll(/[^\x21-\x7e]/g, '.'),
        ]);
        for (const line of tableLines(columns, printable, fakeTerminal(40)))
          expect(line.length).toBeLessThanOrEqual(40);
      }),
    );
  });

  it('is whole where it does not go to a terminal', () => {
    const long = 'x'.repeat(120);
    expect(tableLines(columns, [[long, '1', 'note']], fakeTerminal())).toEqual([
      `${'NAME'.padEnd(120)}  N  NOTE`,
      `${long}  1  note`,
    ]);
  });
});

describe('values and times for people', () => {
  it('show text as it is and the rest as the console does', () => {
    expect(valueText('a\nb', fakeTerminal())).toBe('a\nb');
    expect(valueText(new Map([['a', 1]]), fakeTerminal())).toBe("Map(1) { 'a' => 1 }");
  });

  it('show a duration in its largest unit', () => {
    expect([0, 999, 1_000, 61_000, 7_300_000, 200_000_000].map(shortDuration)).toEqual([
      '0ms',
      '999ms',
      '1s',
      '1m',
      '2h',
      '2d',
    ]);
  });
});

describe('progress', () => {
  it('keeps to one row, whatever it is about', async () => {
    const drawn: string[] = [];
    const terminal = { ...fakeTerminal(40), isInteractive: true, redraw: (text: string) => void drawn.push(text) };
    await withProgress(
      `waiting for shop/Basket/${'x'.repeat(100)}`,
      { terminal, clock: new ManualClock() },
      async () => 1,
    );
    expect(drawn[0]).toMatch(/^⠋ waiting for shop\/Basket\/x+…$/);
    expect(drawn[0]).toHaveLength(39);
  });
});

describe('the log of a process', () => {
  it('is JSON with a constant event, its fields and who it is from', () => {
    const terminal = fakeTerminal();
    createProcessLog(terminal, { service: 'worker', worker: 'w1' }).info('worker.ready', { address: '127.0.0.1:1' });
    expect(terminal.out).toHaveLength(1);
    const line = JSON.parse(terminal.out[0] ?? '');
    expect(line).toMatchObject({ level: 'info', event: 'worker.ready', worker: 'w1', address: '127.0.0.1:1' });
    expect(Date.parse(line.time)).toBeGreaterThan(0);
    expect(terminal.out[0]).toMatch(/"event":"worker\.ready","address"/);
  });

  it('is a short line on a terminal', () => {
    const terminal = fakeTerminal(80);
    createProcessLog(terminal, { service: 'worker' }).error('worker.fenced', { why: 'late' });
    expect(terminal.out[0]).toMatch(/^\d\d:\d\d:\d\d worker\.fenced why=late$/);
  });
});
