import { HoldfastError } from '../../common/errors.js';

const advice = 'await it, or declare the method with async function* where its values are to be read in a loop';

/**
 * Makes `for await` over the answer of a method that is no generator say so. By its types such a method is one where it returns an
 * `AsyncIterable`; only how it is declared tells programs and workers.
 */
export function refuseLoop(answer: Promise<unknown>): Promise<unknown> {
  (answer as { [Symbol.asyncIterator]?: () => AsyncIterator<unknown> })[Symbol.asyncIterator] = iterateAnswer;
  return answer;
}

/** `remoteGen` of a method that is no generator. */
export function refuseRemoteGen(): AsyncIterable<unknown> {
  const refused = () => Promise.reject(new HoldfastError('InvalidArgument', `this method is no generator: ${advice}`));
  return { [Symbol.asyncIterator]: () => ({ next: refused }) };
}

function iterateAnswer(this: Promise<unknown>): AsyncIterator<unknown> {
  return {
    next: async () => {
      // Where it was an iterable, the worker has said so.
      await this;
      throw new HoldfastError('InvalidArgument', `the answer of this call is one value: ${advice}`, { outcome: 'ran' });
    },
  };
}
