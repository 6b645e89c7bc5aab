import type { ExclusionParts } from './image-exclusion.js';
import { whileNobodyWrites } from './image-exclusion.js';
import { ImageStore, isMissing } from './image-store.js';

/** What a sweep did. */
export interface SweptImages {
  readonly imagesKept: number;
  readonly imagesRemoved: number;
  /** Objects, of all kinds. */
  readonly removed: number;
  readonly bytesKept: number;
}

export interface SweepOptions {
  /** Ids that a deployment names, asked for when nobody writes any more. */
  readonly deployed: () => Promise<ReadonlySet<string>>;
  /** Images that were used within this time stay too. */
  readonly keepForMs: number;
}

/**
 * Removes images that nothing needs, and the layers and chunks that only they had.
 *
 * I1. What names is removed before what it names: whoever finds a name finds the rest, and a sweep that dies leaves what the next
 *     one removes.
 * I2. An image that cannot be read now keeps everything.
 *
 * @throws Unavailable
 */
export async function sweepImages(parts: ExclusionParts, { deployed, keepForMs }: SweepOptions): Promise<SweptImages> {
  return await whileNobodyWrites(parts, async (check) => {
    const store = new ImageStore(parts);
    const names = await deployed();
    const kept: string[] = [];
    const removed: string[] = [];
    for await (const image of store.images()) {
      const isKept = names.has(image) || parts.clock.now() - (await store.usedAt(image)) < keepForMs;
      (isKept ? kept : removed).push(image);
    }
    const needed = await reachable(store, kept);
    const count = { removed: 0 };
    const remove = async (key: string): Promise<void> => {
      check();
      await parts.objects.delete(key);
      count.removed += 1;
    };
    const gone = new Set(removed);
    for await (const [key, image] of store.builds()) if (gone.has(image)) await remove(key);
    for (const image of removed) for (const key of store.keysOfImage(image)) await remove(key);
    for (const kind of ['layers', 'chunks'] as const) {
      for await (const [key, hash] of store.hashes(kind)) if (!needed[kind].has(hash)) await remove(key);
    }
    return {
      ...{ imagesKept: kept.length, imagesRemoved: removed.length, removed: count.removed },
      bytesKept: needed.bytes,
    };
  });
}

async function reachable(store: ImageStore, images: readonly string[]) {
  const layers = new Set<string>();
  const chunks = new Set<string>();
  let bytes = 0;
  for (const image of images) {
    // Damaged, and of no use to anybody: its layers go.
    const content = await store.image(image).catch(noneIfMissing);
    for (const hash of content?.layers ?? []) {
      if (layers.has(hash)) continue;
      layers.add(hash);
      const layer = await store.layer(hash).catch(noneIfMissing);
      bytes += layer?.bytes ?? 0;
      for (const chunk of layer?.chunks ?? []) chunks.add(chunk);
    }
  }
  return { layers, chunks, bytes };
}

/** Anything else than "it is not there" is thrown on: then nothing is removed (I2). */
function noneIfMissing(e: unknown): null {
  if (isMissing(e)) return null;
  throw e;
}
