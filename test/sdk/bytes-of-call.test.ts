import { expect, test } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import type { ByteStream } from '../../src/common/ports/byte-stream.js';
import { ofCall } from '../../src/sdk/sandbox/bytes-of-call.js';

/** Whose other side is silently gone. */
function silentStream(): ByteStream {
  let giveUp = (_error: Error): void => undefined;
  const never = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  never.catch(() => undefined);
  return {
    write: () => never,
    end: () => undefined,
    // biome-ignore lint/correctness/useYield: nothing ever comes
    read: async function* () {
      await never;
    },
    cancel: () => giveUp(new HoldfastError('Cancelled', 'given up')),
  };
}

test('bytes whose other side is silently gone end with their call, and say what that said', async () => {
  let lose = (_error: Error): void => undefined;
  const life: AsyncIterator<unknown> = {
    next: () =>
      new Promise((_, reject) => {
        lose = reject;
      }),
  };
  const stream = ofCall(silentStream(), life);
  const [writing, reading] = [stream.write(Buffer.from('x')), stream.read()[Symbol.asyncIterator]().next()];
  lose(new HoldfastError('StreamLost', 'the worker is gone'));
  await expect(writing).rejects.toMatchObject({ code: 'StreamLost' });
  await expect(reading).rejects.toMatchObject({ code: 'StreamLost' });
});

test('bytes outlive a call that ends by itself, and keep their own reasons', async () => {
  const stream = ofCall(silentStream(), { next: async () => ({ done: true, value: undefined }) });
  const writing = stream.write(Buffer.from('x'));
  stream.cancel();
  await expect(writing).rejects.toMatchObject({ code: 'Cancelled' });
});
