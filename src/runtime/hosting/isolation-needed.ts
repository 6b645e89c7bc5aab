import type { Isolation } from '../../common/manifest.js';
import type { LoadedClass } from './loaded-class.js';

/** Ordered: a stronger isolation serves where a weaker one is asked for. */
export const strength: Readonly<Record<Isolation, number>> = { process: 0, bubblewrap: 1, gvisor: 2 };

/** What a worker must give the class: volumes and images are seen in a mount namespace only. */
export function isolationOf({ options: { isolation, image, volumes = [] } }: Pick<LoadedClass, 'options'>): Isolation {
  const asked = isolation ?? 'process';
  return (volumes.length > 0 || image !== undefined) && asked === 'process' ? 'bubblewrap' : asked;
}
