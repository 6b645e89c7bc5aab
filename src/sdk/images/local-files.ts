import { realpath, stat } from 'node:fs/promises';
import { posix, resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import type { ImageRecipe, ImageStep } from '../../common/image-recipe.js';
import { type LocalTar, openLocalTar } from './local-tar.js';
import { resolveOci } from './oci/oci-image.js';

/** A recipe that names nothing of this machine, and what it means by its hashes. */
export interface PortableRecipe {
  readonly recipe: ImageRecipe;
  readonly tars: ReadonlyMap<string, LocalTar>;
}

/**
 * Nothing but hashes is read of what an OCI image has.
 *
 * @param from.folder where relative paths start @throws InvalidArgument naming the path, and as `resolveOci` does
 */
export async function withLocalFiles(
  { base, steps }: ImageRecipe,
  from: { readonly folder: string; readonly signal?: AbortSignal | undefined },
): Promise<PortableRecipe> {
  const { folder } = from;
  const tars = new Map<string, LocalTar>();
  const oci = base.from === 'oci' ? await resolveOci(base.reference, from) : null;
  for (const blob of oci?.blobs ?? []) tars.set(blob.sha256, blob);
  const portable: ImageStep[] = [];
  for (const step of steps) {
    if (step.do !== 'copy') {
      portable.push(step);
      continue;
    }
    const { tar, to } = await tarFor(step, folder);
    tars.set(tar.sha256, tar);
    portable.push({ do: 'files', sha256: tar.sha256, to });
  }
  return { recipe: { base: oci?.base ?? base, steps: portable }, tars };
}

async function tarFor(
  { from, to }: ImageStep & { readonly do: 'copy' },
  folder: string,
): Promise<{ readonly tar: LocalTar; readonly to: string }> {
  const named = resolve(folder, from);
  // A link that is named stands for what it leads to.
  const path = await realpath(named).catch((cause: unknown) => {
    throw new HoldfastError('InvalidArgument', `copyLocal: ${named} is not there, or cannot be read`, { cause });
  });
  const stats = await stat(path);
  if (stats.isDirectory()) return { tar: await openLocalTar(path, '.'), to };
  const target = to.endsWith('/') ? posix.join(to, posix.basename(named)) : to;
  return { tar: await openLocalTar(path, posix.basename(target)), to: posix.dirname(target) };
}
