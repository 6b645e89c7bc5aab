import { expect, test } from 'vitest';
import { allMutations } from './all-mutations.js';
import { mutatedFiles } from './mutant.js';

test('each guard that the mutation check takes out is where it is said to be', () => {
  const moved = allMutations.flatMap((mutation) => {
    try {
      mutatedFiles(mutation);
      return [];
    } catch (error) {
      return [`${mutation.name}: ${error}`];
    }
  });
  expect(moved).toEqual([]);
  expect(new Set(allMutations.map(({ name }) => name)).size).toBe(allMutations.length);
});
