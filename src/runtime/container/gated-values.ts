import type { HostedInstance } from './hosted-instance.js';

/** The values of a generator; each leaves when all that its instance has written before is stored (D3). */
export function gatedValues(
  instance: HostedInstance,
  values: AsyncIterator<unknown, void, undefined>,
): AsyncIterator<unknown, void, undefined> {
  return {
    next: async () => {
      const step = await values.next();
      await instance.unsettledWrites;
      return step;
    },
    return: async () => (await values.return?.()) ?? { done: true, value: undefined },
  };
}
