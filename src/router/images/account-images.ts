import type { Clock, Random } from '../../common/clock.js';
import { ImageStore, isMissing } from '../../common/images/image-store.js';
import { type SweptImages, sweepImages } from '../../common/images/sweep-images.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { ImageView, ListImagesReply } from '../../wire/gen/holdfast/v1/router.js';
import type { Deployments } from '../apps/deployments.js';

export interface ImageParts {
  readonly objects: ObjectStore;
  readonly deployments: Pick<Deployments, 'list'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** The most recently used first. @throws Unavailable */
export async function listImages(parts: ImageParts, account: string): Promise<ListImagesReply> {
  const store = new ImageStore({ ...parts, account });
  const named = await deployedImages(parts, account);
  const images: ImageView[] = [];
  for await (const id of store.images()) {
    const view = { id, usedAtMs: await store.usedAt(id), resources: [...(named.get(id) ?? [])] };
    images.push({ ...view, ...(await sizeOf(store, id)) });
  }
  return { images: images.sort((a, b) => b.usedAtMs - a.usedAtMs) };
}

/** Of one router: that sweeps of several do not meet is for `sweepImages`. @throws Unavailable while images are written */
export async function sweepAccountImages(parts: ImageParts, account: string, keepForMs: number): Promise<SweptImages> {
  const deployed = async () => new Set((await deployedImages(parts, account)).keys());
  return await sweepImages({ ...parts, account }, { deployed, keepForMs });
}

/** Names of classes and sandboxes by the image that they have now. */
async function deployedImages(
  { deployments }: ImageParts,
  account: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const named = new Map<string, string[]>();
  for (const { app, manifest } of await deployments.list(account)) {
    for (const { name, options } of Object.values(manifest.classes)) {
      if (options.image === undefined) continue;
      named.set(options.image, [...(named.get(options.image) ?? []), `${app}/${name}`]);
    }
  }
  return named;
}

async function sizeOf(store: ImageStore, id: string): Promise<Pick<ImageView, 'base' | 'layers' | 'bytes'>> {
  try {
    const { base, layers } = await store.image(id);
    const stored = await Promise.all(layers.map((layer) => store.layer(layer)));
    return { base, layers: layers.length, bytes: stored.reduce((sum, { bytes }) => sum + bytes, 0) };
  } catch (e) {
    if (!isMissing(e)) throw e;
    return { base: '', layers: 0, bytes: 0 };
  }
}
