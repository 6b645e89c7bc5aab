import { expect, test } from 'vitest';
import { type ClusterOptions, resolveClusterOptions } from '../../src/cli/testing/cluster-options.js';
import { findProgram } from '../../src/cli/testing/servers.js';
import { isHoldfastError } from '../../src/common/errors.js';

function refusal(options: unknown): string {
  try {
    resolveClusterOptions(options as ClusterOptions);
  } catch (e) {
    expect(isHoldfastError(e, 'InvalidArgument')).toBe(true);
    return String((e as Error).message);
  }
  return 'accepted';
}

test('a cluster has one router and one worker where nothing else is said', () => {
  expect(resolveClusterOptions({ mode: 'embedded' })).toEqual({
    mode: 'embedded',
    routers: 1,
    workers: [{}],
    env: {},
    isolation: 'process',
    signal: expect.any(AbortSignal),
  });
});

test('a number of workers is that many without settings, and a list is taken as it is', () => {
  expect(resolveClusterOptions({ mode: 'real', workers: 2 }).workers).toEqual([{}, {}]);
  const workers = [{ id: 'a' }, { offer: { gpu: 'H100' } }];
  expect(resolveClusterOptions({ mode: 'real', workers }).workers).toEqual(workers);
});

test.each([
  [undefined, 'options must be an object'],
  [{}, "'mode' must be 'embedded' or 'real'"],
  [{ mode: 'docker' }, `got "docker"`],
  [{ mode: 'real', router: 2 }, "unknown option 'router'; expected mode, routers"],
  [{ mode: 'real', toString: 2 }, "unknown option 'toString'"],
  [{ mode: 'real', routers: 0 }, 'a whole number from 1 to 64'],
  [{ mode: 'real', workers: -1 }, 'a whole number from 0 to 64'],
  [{ mode: 'real', workers: [{ id: 'a b' }] }, "workers[0]: 'id' must be"],
  [{ mode: 'real', workers: [{ offers: {} }] }, "workers[0]: unknown option 'offers'"],
  [{ mode: 'real', workers: [{ maxContainers: 0 }] }, 'a whole number of at least 1, got 0'],
  [{ mode: 'real', workers: [{ id: 'a' }, { id: 'a' }] }, 'ids that differ, got "a"'],
  [{ mode: 'real', env: { PORT: 1 } }, "'env' must be"],
  [{ mode: 'real', isolation: 'docker' }, "'process', 'bubblewrap' or 'gvisor'"],
  [{ mode: 'real', signal: {} }, 'an AbortSignal'],
])('the options %j are refused with a message that says %s', (options, message) => {
  expect(refusal(options)).toContain(message);
});

test('a server that is not installed is named, with the command that installs it', () => {
  let error: unknown;
  try {
    findProgram('no-such-server');
  } catch (e) {
    error = e;
  }
  expect(isHoldfastError(error, 'Unavailable')).toBe(true);
  expect(String(error)).toContain('no-such-server is not installed');
  expect(String(error)).toContain('apt-get install no-such-server');
});
