import { CommanderError } from 'commander';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CommandExit } from '../../src/cli/commands/sandbox/command-exit.js';
import { createProgram } from '../../src/cli/program.js';
import { isHoldfastError } from '../../src/common/errors.js';
import { ManualClock } from '../manual-clock.js';
import { fakeTerminal } from './fake-terminal.js';

/** Those that ask a cluster: without one each ends with what it needs. Servers and `doctor --fix` are not for chance. */
const commands = [
  ...['call', 'ps', 'inspect', 'logs', 'handle', 'attach', 'close', 'apps', 'workers', 'drain'].map((name) => [name]),
  ...['create', 'ls', 'revoke'].map((name) => ['token', name]),
  ...['rotate', 'ls', 'retire'].map((name) => ['signing-key', name]),
  ...['ls', 'rm', 'rotate-key'].map((name) => ['secret', name]),
  ...['create', 'exec', 'ls', 'ps', 'close', 'cp'].map((name) => ['sandbox', name]),
  ...['create', 'ls', 'rm', 'cat', 'delete'].map((name) => ['nfs', name]),
  ...['create', 'ls', 'rm', 'cat', 'history', 'diff', 'gc', 'delete'].map((name) => ['volume', name]),
];

const word = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '--json',
    '--timeout',
    '--endpoint',
    '--',
    '-',
    '--init',
    '--force',
    '--no-such',
    '[1,',
    '{}',
    'a/b/c/d',
  ),
  fc.constantFrom('__proto__', 'constructor', '../..', 'shop/Counter', '"', '--limit=-1', '--timeout=1e99', '\0'),
);

describe('the command line', () => {
  it('answers any words with a typed error or help, and never with a fault of its own', async () => {
    const terminal = fakeTerminal(80);
    const context = {
      terminal,
      env: { XDG_STATE_HOME: '/nonexistent' },
      clock: new ManualClock(),
      signal: new AbortController().signal,
    };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...commands), fc.array(word, { maxLength: 5 }), async (command, words) => {
        const given = words.filter((text) => text !== '--redis' && !text.startsWith('--endpoint'));
        const ended = await createProgram(context)
          .parseAsync([...command, ...given], { from: 'user' })
          .then(
            () => null,
            (error: unknown) => error,
          );
        const isTyped = isHoldfastError(ended) || ended instanceof CommanderError || ended instanceof CommandExit;
        expect(isTyped, `${command.join(' ')} ${JSON.stringify(given)} ended with ${String(ended)}`).toBe(true);
        if (isHoldfastError(ended)) expect(ended.code).not.toBe('Internal');
      }),
      { numRuns: 400 },
    );
  });
});
