import { App, type Batch, method } from 'holdfast';

export const app = new App('embeddings', { entry: import.meta.url });

const dimensions = 16;

/** Vectors of texts, by hashing their words: a model would be loaded in an `@enter()` hook, and asked with whole batches. */
@app.cls({ maxContainers: 2, maxPendingTasks: 1_000, memoryMb: 256 })
export class Embedder {
  #batches = 0;

  @method({ batch: { maxSize: 8, waitMs: 200 } })
  async embed(texts: Batch<string>): Promise<number[][]> {
    this.#batches += 1;
    return texts.map(vectorOf);
  }

  @method()
  batches(): number {
    return this.#batches;
  }
}

function vectorOf(text: string): number[] {
  const vector = new Array<number>(dimensions).fill(0);
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
    let hash = 7;
    for (const letter of word) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
    vector[hash % dimensions] = (vector[hash % dimensions] ?? 0) + 1;
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
