import { App } from 'holdfast';

export const app = new App('word-count', { entry: import.meta.url });

/** How often each word is in a text; as many containers as there are texts to count, up to four. */
export const count = app.function(
  async (name: string, text: string) => {
    const words = new Map<string, number>();
    for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) words.set(word, (words.get(word) ?? 0) + 1);
    return { name, words };
  },
  { maxContainers: 4, maxPendingTasks: 100, memoryMb: 256 },
);
