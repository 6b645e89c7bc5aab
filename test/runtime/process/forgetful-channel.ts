import type { Channel } from '../../../src/common/ports/channel.js';

/** As a container's socket, which is read in place: what a message was is gone when its reader returns. */
export function forgetful(channel: Channel): Channel {
  return {
    open: (handlers) =>
      channel.open({
        onMessage: (message) => {
          const read = Buffer.from(message);
          handlers.onMessage(read);
          read.fill(0xee);
        },
        onDrain: () => handlers.onDrain(),
        onClosed: (error) => handlers.onClosed(error),
      }),
    send: (message, sent) => channel.send(message, sent),
    close: (error) => channel.close(error),
  };
}
