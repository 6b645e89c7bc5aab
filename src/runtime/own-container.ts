import type { OwnContainer } from '../common/ports/container.js';
import type { Instance } from './instance.js';

/** What a class's container must have that a warm one has not; null: a warm one will do. */
export function ownContainerOf({ key, klass }: Pick<Instance, 'key' | 'klass'>): OwnContainer | null {
  const { volumes = [], image, startupTimeoutMs } = klass.options;
  if (volumes.length === 0 && image === undefined) return null;
  return { key, volumes, ...(image === undefined ? {} : { image: { id: image, withinMs: startupTimeoutMs } }) };
}
