/** What the guides promise to say of everything. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { natsRules } from '../../src/cli/commands/doctor/nats-rules.js';
import { redisRules } from '../../src/cli/commands/doctor/redis-rules.js';

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const codesOfType = /ErrorCode =\n([^;]+);/.exec(read('src/common/errors.ts'))?.[1] ?? '';
const errorCodes = [...codesOfType.matchAll(/'(\w+)'/g)].map(([, code = '']) => code).sort();

/** The words in code marks of the first column of a section's tables. */
function firstColumn(text: string, heading: string): string[] {
  const [, section = ''] = text.split(`\n## ${heading}\n`);
  const rows = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| '));
  return rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, word = '']) => word));
}

describe('every error', () => {
  it('is one of those of the type', () => expect(errorCodes).toContain('StoreQuarantined'));

  it('has a meaning, once', () => {
    expect(firstColumn(read('docs/semantics.md'), 'Errors').sort()).toEqual(errorCodes);
  });

  it('has a line that says what to do, once', () => {
    expect(firstColumn(read('docs/operations.md'), 'What to do about an error').sort()).toEqual(errorCodes);
  });
});

it('every setting that the guide asks of Redis and NATS is one that doctor looks at', () => {
  const rules = [...redisRules, ...natsRules].map((rule) => `${rule.breach} ${rule.next}`).join('\n');
  const asked = firstColumn(read('docs/operations.md'), 'Redis').flatMap((setting) => setting.split(' ').slice(0, 1));
  expect(asked).toContain('maxmemory-policy');
  expect(asked.filter((setting) => !rules.includes(setting))).toEqual([]);
});
