import { type ClassManifest, kindOf } from '../../common/manifest.js';
import { filesOf } from '../../common/recent-files.js';
import { mountsTogether } from '../../common/volume-mounts.js';
import { sessionArguments } from '../session-arguments.js';

/** Images and volumes that an instance starts with, as workers tell of those that they have (common/recent-files). */
export function filesNeeded(manifest: ClassManifest, args: Uint8Array): readonly string[] {
  const { image, volumes } = manifest.options;
  const session = kindOf(manifest) === 'sandbox' ? sessionArguments(args) : {};
  const start = session.fork?.image ?? image;
  const mounts = mountsTogether(volumes, session.volumes ?? []);
  return filesOf({
    images: start === undefined ? [] : [start],
    volumes: mounts.flatMap((mount) => ('volume' in mount ? [mount.volume] : [])),
  });
}
