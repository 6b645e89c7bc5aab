import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import { splitCommand } from '../../src/common/split-command.js';

describe('a command line', () => {
  test.each([
    ['ls -l /tmp', ['ls', '-l', '/tmp']],
    ['  echo   \'two words\'\t"and more" ', ['echo', 'two words', 'and more']],
    ['a\\ b c\\\\d', ['a b', 'c\\d']],
    ['"a \\"quoted\\" word" "back\\slash"', ['a "quoted" word', 'back\\slash']],
    ["it''s one''", ['its', 'one']],
    ['\'\' ""', ['', '']],
    ['echo $HOME *.ts a|b ; c > d `e` ~', ['echo', '$HOME', '*.ts', 'a|b', ';', 'c', '>', 'd', '`e`', '~']],
    ['one\\\ntwo "three\\\nfour"', ['onetwo', 'threefour']],
    ['a#b #c', ['a#b', '#c']],
    ['schön 世界 🙂', ['schön', '世界', '🙂']],
  ])('is split as a shell does, and nothing in it is expanded: %j', (line, words) => {
    expect(splitCommand(line)).toEqual(words);
  });

  test.each(['', '   ', "echo 'open", 'echo "open', 'echo "a\\"', 'echo \\'])(
    'is refused where it is not whole: %j',
    (line) => {
      const thrown = (() => {
        try {
          return splitCommand(line);
        } catch (e) {
          return e;
        }
      })();
      expect(isHoldfastError(thrown, 'InvalidArgument')).toBe(true);
    },
  );

  test('gives back any words that were quoted one by one', () => {
    const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
    const words = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 });
    fc.assert(
      fc.property(words, (given) => {
        expect(splitCommand(given.map(quoted).join(' '))).toEqual(given);
      }),
    );
  });

  test('means the same to a shell where it has only quotes and backslashes', () => {
    const pieces = fc.constantFrom('a', ' ', "'b c'", '"d e"', '\\ ', '\\\\', '"\\""', "'\\'", '\t', '""', '-x');
    const lines = fc
      .array(pieces, { maxLength: 12 })
      .map((parts) => parts.join(''))
      .filter((line) => line.trim() !== '');
    fc.assert(
      fc.property(lines, (line) => {
        const script = `printf '%s\\0' ${line}`;
        const shell = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
        expect(splitCommand(line)).toEqual(shell);
      }),
      { numRuns: 60 },
    );
  });
});
