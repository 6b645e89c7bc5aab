import { HoldfastError } from '../../common/errors.js';
import type { CommitRecord, VolumeRecord } from '../../common/ports/volume-store.js';

/** `id`, newline, JSON: a compare-and-set need not look into the rest. */
export function encodeVolume(volume: VolumeRecord): string {
  return `${volume.id}\n${JSON.stringify(volume)}`;
}

/** @throws Internal */
export function decodeVolume(text: string): VolumeRecord {
  const end = text.indexOf('\n');
  if (end < 1)
    throw new HoldfastError('Internal', `the record of a volume of ${text.length} characters does not decode`);
  return JSON.parse(text.slice(end + 1)) as VolumeRecord;
}

export function decodeCommit(text: string): CommitRecord {
  return JSON.parse(text) as CommitRecord;
}

/** By name. */
export function sortedVolumes(volumes: readonly VolumeRecord[]): VolumeRecord[] {
  return [...volumes].sort((a, b) => (a.name < b.name ? -1 : 1));
}

const shortHash = 32;

/** Half of a hash names an object well enough to keep it: two that share it are both kept. */
export function shortened(hash: string): string {
  return hash.slice(0, shortHash);
}
