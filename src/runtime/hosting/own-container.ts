import type { ContainerFiles, OwnContainer } from '../../common/ports/container.js';
import type { Instance } from '../instances/instance.js';
import type { LoadedClass } from './loaded-class.js';

/** What a warm sandbox has. */
export const defaultDiskGb = 10;

/** What every container of the class must start with; null: any warm one will do. */
export function filesOfClass({ kind, options }: Pick<LoadedClass, 'kind' | 'options'>): ContainerFiles | null {
  const { image, startupTimeoutMs } = options;
  const { diskGb = defaultDiskGb } = kind === 'sandbox' ? options.placement : {};
  if (image === undefined && diskGb === defaultDiskGb) return null;
  return { diskGb, ...(image === undefined ? {} : { image: { id: image, withinMs: startupTimeoutMs } }) };
}

/** What one instance's container must have that another of its class has not; null: any of the class will do. */
export function ownContainerOf({ key, klass }: Pick<Instance, 'key' | 'klass'>): OwnContainer | null {
  const { volumes = [] } = klass.options;
  return volumes.length === 0 ? null : { ...filesOfClass(klass), key, volumes };
}
