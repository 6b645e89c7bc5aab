import type { ByteStream } from '../../common/ports/byte-stream.js';

/**
 * Bytes that end with the call they belong to: a connection whose other side is silently gone can stand for a quarter of an
 * hour, and the link of the call knows within seconds.
 * @param life of the call, whose first value was taken
 */
export function ofCall(stream: ByteStream, life: AsyncIterator<unknown>): ByteStream {
  let lost: { readonly error: unknown } | null = null;
  life.next().catch((error: unknown) => {
    lost = { error };
    stream.cancel();
  });
  const whyOf = (error: unknown): unknown => (lost === null ? error : lost.error);
  return {
    write: async (bytes) => {
      await stream.write(bytes).catch((error: unknown) => {
        throw whyOf(error);
      });
    },
    end: () => stream.end(),
    cancel: () => stream.cancel(),
    read: async function* () {
      try {
        yield* stream.read();
      } catch (error) {
        throw whyOf(error);
      }
    },
  };
}
