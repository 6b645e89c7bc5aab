import { stat } from 'node:fs/promises';
import { posix, resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import type { ImageRecipe, ImageStep } from '../../common/image-recipe.js';
import { type LocalTar, openLocalTar } from './local-tar.js';

/** A recipe that names nothing of this machine, and what it means by its hashes. */
export interface PortableRecipe {
  readonly recipe: ImageRecipe;
  readonly tars: ReadonlyMap<string, LocalTar>;
}

/** @param folder where relative paths start @throws InvalidArgument naming the path */
export async function withLocalFiles({ base, steps }: ImageRecipe, folder: string): Promise<PortableRecipe> {
  const tars = new Map<string, LocalTar>();
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
  return { recipe: { base, steps: portable }, tars };
}

async function tarFor(
  { from, to }: ImageStep & { readonly do: 'copy' },
  folder: string,
): Promise<{ readonly tar: LocalTar; readonly to: string }> {
  const path = resolve(folder, from);
  const stats = await stat(path).catch((cause: unknown) => {
    throw new HoldfastError('InvalidArgument', `copyLocal: ${path} is not there, or cannot be read`, { cause });
  });
  if (stats.isDirectory()) return { tar: await openLocalTar(path, '.'), to };
  const target = to.endsWith('/') ? posix.join(to, posix.basename(path)) : to;
  return { tar: await openLocalTar(path, posix.basename(target)), to: posix.dirname(target) };
}
