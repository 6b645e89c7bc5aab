import type { CommitRecord, VolumeRecord } from '../common/ports/volume-store.js';
import type { CommitView, VolumeView } from './gen/holdfast/v1/router.js';

export function volumeView({ isEphemeral, sizeGb, mountPathDefault, geolocation, ...same }: VolumeRecord): VolumeView {
  return {
    ...same,
    ephemeral: isEphemeral,
    geolocation: [...geolocation],
    sizeGb: sizeGb ?? undefined,
    mountPathDefault: mountPathDefault ?? undefined,
  };
}

export function volumeOf({ ephemeral, sizeGb, mountPathDefault, backend, ...same }: VolumeView): VolumeRecord {
  return {
    ...same,
    isEphemeral: ephemeral,
    sizeGb: sizeGb ?? null,
    mountPathDefault: mountPathDefault ?? null,
    backend: backend === 'vast_local' ? backend : 'cloud_bucket',
  };
}

export function commitView({ parent, ...same }: CommitRecord): CommitView {
  return { ...same, parent: parent ?? undefined };
}

/** @throws TypeError for a commit without a root, which nobody sends */
export function commitOf({ parent, root, ...same }: CommitView): CommitRecord {
  if (root === undefined) throw new TypeError('a commit without a root');
  return { ...same, root, parent: parent ?? null };
}
