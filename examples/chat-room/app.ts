import { App, currentContext, method } from 'holdfast';

export interface Message {
  readonly from: string;
  readonly text: string;
}

/** What one subscriber has not read yet. A reader that is slower than that loses the oldest messages, not the room its memory. */
const kept = 100;

export const app = new App('chat-room', { entry: import.meta.url });

// Every subscriber is a call that runs for as long as it listens, so the room takes many at once.
@app.cls({ concurrentRequests: 1_000, timeoutMs: 3_600_000 })
export class Room {
  readonly #subscribers = new Map<string, Subscriber>();

  /** The messages from now on; ends when the reader leaves its loop. */
  @method()
  async *listen(name: string): AsyncGenerator<Message> {
    const { signal } = currentContext();
    const subscriber: Subscriber = { unread: [], wake: () => undefined };
    signal.addEventListener('abort', () => subscriber.wake());
    this.#subscribers.set(name, subscriber);
    try {
      yield { from: 'room', text: `welcome, ${name}` };
      while (!signal.aborted) {
        yield* subscriber.unread.splice(0);
        if (subscriber.unread.length > 0) continue;
        await new Promise<void>((wake) => {
          subscriber.wake = wake;
        });
      }
    } finally {
      this.#subscribers.delete(name);
    }
  }

  /** Returns how many people it went to. */
  @method()
  say(from: string, text: string): number {
    for (const { unread, wake } of this.#subscribers.values()) {
      if (unread.push({ from, text }) > kept) unread.shift();
      wake();
    }
    return this.#subscribers.size;
  }
}

interface Subscriber {
  readonly unread: Message[];
  wake: () => void;
}
