import type { Isolation } from '../../common/manifest.js';
import type { LoadedClass } from './loaded-class.js';

/** Ordered: a stronger isolation serves where a weaker one is asked for. */
export const strength: Readonly<Record<Isolation, number>> = { process: 0, bubblewrap: 1, gvisor: 2 };

/** What a worker must give the class: volumes and images are seen in a mount namespace only. */
export function isolationOf(klass: Pick<LoadedClass, 'options'>): Isolation {
  const asked = klass.options.isolation ?? 'process';
  return hasFiles(klass) && asked === 'process' ? 'bubblewrap' : asked;
}

/**
 * What a worker gives the class. Walls that the host has for sandboxes are there for classes with files too, whatever its other
 * classes have: volumes and images cannot be seen without (ADR 63).
 *
 * @param sandboxes null: the host has none
 */
export function isolationGiven(
  klass: Pick<LoadedClass, 'kind' | 'options'>,
  { classes, sandboxes }: { readonly classes: Isolation; readonly sandboxes: Isolation | null },
): Isolation {
  if (klass.kind === 'sandbox') return sandboxes ?? 'process';
  return classes === 'process' && sandboxes !== null && hasFiles(klass) ? 'bubblewrap' : classes;
}

function hasFiles({ options: { image, volumes = [] } }: Pick<LoadedClass, 'options'>): boolean {
  return volumes.length > 0 || image !== undefined;
}
