import type { Duplex } from 'node:stream';

/** From a container to its worker, once, before the first message: the runtime is loaded, a bundle can come. */
export function sendReady(socket: Duplex): void {
  socket.write(Uint8Array.of(1));
}

/** Resolves at the container's `sendReady`; what follows it stays in the socket. Never rejects: the caller has a deadline. */
export function receiveReady(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const onReadable = (): void => {
      if (socket.read(1) === null) return;
      socket.off('readable', onReadable);
      resolve();
    };
    socket.on('readable', onReadable);
  });
}
