import type { BuildEvent } from '../../common/image-build.js';
import type { AppManifest, ClassManifest } from '../../common/manifest.js';
import type { ClientCore } from '../sessions/client-core.js';
import { buildRemotely } from './image-builder.js';
import { withLocalFiles } from './local-files.js';

/** What is told of the images of a deploy. */
export type ImageProgress = BuildEvent & {
  /** Names of the classes and sandboxes that it is for. */
  readonly resources: readonly string[];
};

export interface ImageDeployOptions {
  /** Of the module: relative paths of `copyLocal` start there. */
  readonly folder: string;
  readonly onImage: (progress: ImageProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The manifest with the id of an image in place of each that is to be built; all of them are there then. @throws as `buildRemotely` does */
export async function withBuiltImages(
  client: ClientCore,
  manifest: AppManifest,
  { folder, onImage, signal }: ImageDeployOptions,
): Promise<AppManifest> {
  const classes = new Map(Object.entries(manifest.classes));
  // One after the other: they share most of what they stand on, or a worker.
  for (const [recipeJson, resources] of byRecipe(classes)) {
    const portable = await withLocalFiles(JSON.parse(recipeJson), { folder, signal });
    const onEvent = (event: BuildEvent): void => onImage({ ...event, resources });
    const image = await buildRemotely(client, portable, { onEvent, signal });
    for (const name of resources) {
      const resource = classes.get(name) as ClassManifest;
      const { recipe: _, ...options } = resource.options;
      classes.set(name, { ...resource, options: { ...options, image } });
    }
  }
  return { ...manifest, classes: Object.fromEntries(classes) };
}

/** Names of resources by the recipe that they share. */
function byRecipe(classes: ReadonlyMap<string, ClassManifest>): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, { options }] of classes) {
    if (options.recipe === undefined) continue;
    const key = JSON.stringify(options.recipe);
    found.set(key, [...(found.get(key) ?? []), name]);
  }
  return found;
}
