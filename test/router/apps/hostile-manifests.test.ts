import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import { parseManifest } from '../../../src/router/apps/parse-manifest.js';
import { classManifest } from '../bus-worker.js';

const good = {
  app: 'shop',
  tags: ['t'],
  metadata: { team: 'x' },
  classes: { Counter: classManifest('Counter', { secrets: [{ name: 'TOKEN', requiredKeys: ['A'] }] }) },
};

/** Where something can be put in the place of something else. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...(value as object) };
  (copy as Record<string, unknown>)[key] = replaced((copy as Record<string, unknown>)[key], rest, by);
  return copy;
}

/** Parsed, or refused by its type; anything else is a bug. */
function outcomeOf(json: string): 'parsed' | 'refused' {
  try {
    parseManifest(json);
    return 'parsed';
  } catch (error) {
    if (isHoldfastError(error, 'InvalidArgument')) return 'refused';
    throw error;
  }
}

describe('a manifest from a client that is not ours', () => {
  it('is parsed where it is one', () => {
    expect(parseManifest(JSON.stringify(good)).classes['Counter']).toMatchObject({ name: 'Counter' });
  });

  it('is refused or parsed, and nothing else, whatever stands in the place of any part of it', () => {
    const hostile = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(-1, 0.5, Number.MAX_SAFE_INTEGER, '', '\0', '../../etc', '{pin}', 'x'.repeat(10_000)),
      fc.constant(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')),
    );
    fc.assert(
      fc.property(fc.constantFrom(...pathsOf(good)), hostile, (path, by) => {
        outcomeOf(JSON.stringify(replaced(good, path, by)));
        expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('is refused where a part that a router relies on is missing', () => {
    for (const path of pathsOf(good.classes.Counter.options).filter(({ length }) => length === 1)) {
      const { [path[0] as keyof typeof good.classes.Counter.options]: _gone, ...options } =
        good.classes.Counter.options;
      const json = JSON.stringify({ ...good, classes: { Counter: { ...good.classes.Counter, options } } });
      const isDefaulted = outcomeOf(json) === 'parsed';
      // Only what a manifest of an older version lacks.
      if (isDefaulted) expect(['session', 'image', 'mounts', 'volumes', 'secrets']).toContain(path[0]);
    }
  });

  it('is refused where it is no JSON, or is too large to be looked at', () => {
    fc.assert(fc.property(fc.string(), (text) => void outcomeOf(text)));
    expect(outcomeOf(`"${'x'.repeat(1_048_577)}"`)).toBe('refused');
    expect(outcomeOf(`${'['.repeat(200_000)}${']'.repeat(200_000)}`)).toBe('refused');
  });
});
