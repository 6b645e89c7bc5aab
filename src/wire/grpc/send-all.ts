import type { ClientWritableStream } from '@grpc/grpc-js';

/** Ends early where the call has: its answer says why. */
export async function sendAll(
  stream: ClientWritableStream<Uint8Array>,
  requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  let isOver = false;
  let goOn = (): void => undefined;
  stream.on('drain', () => goOn());
  stream.on('status', () => {
    isOver = true;
    goOn();
  });
  for await (const request of requests) {
    if (isOver) return;
    if (stream.write(request)) continue;
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
  }
  stream.end();
}
