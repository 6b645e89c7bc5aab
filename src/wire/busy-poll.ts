import type { Clock, Monotonic } from '../common/clock.js';
import type { Channel } from '../common/ports/channel.js';

/** How long an answer is waited for without sleeping. */
const windowMs = 0.2;
/** Whoever sends again within this time after an answer is calling in a loop. */
const loopMs = 1;
/** Longer messages are batches of many calls: there is other work than waiting. */
const smallBytes = 1_024;

/**
 * Keeps the event loop awake for up to 0.2 ms after a small answer, while somebody calls in a loop: on a virtual machine a
 * core that falls asleep takes longer to wake than the call itself takes. A caller that pauses for more than 1 ms costs nothing.
 *
 * @param schedule runs a task in the next turn of the event loop
 */
export function busyPolled(
  channel: Channel,
  clock: Clock,
  schedule: (turn: () => void) => void = setImmediate,
): Channel {
  let sentAt: Monotonic = Number.NEGATIVE_INFINITY;
  let isLoop = false;
  let isWaiting = false;
  let isTurning = false;
  const turn = (): void => {
    isTurning = isWaiting && clock.monotonic() - sentAt < windowMs;
    if (isTurning) schedule(turn);
  };
  return {
    open: (handlers) =>
      channel.open({
        ...handlers,
        onMessage: (message) => {
          if (isWaiting) isLoop = clock.monotonic() - sentAt < loopMs;
          isWaiting = false;
          handlers.onMessage(message);
        },
      }),
    send: (message) => {
      const flows = channel.send(message);
      sentAt = clock.monotonic();
      isWaiting = true;
      if (isLoop && !isTurning && message.length <= smallBytes) {
        isTurning = true;
        schedule(turn);
      }
      return flows;
    },
    close: (error) => channel.close(error),
  };
}
