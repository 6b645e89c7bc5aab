import { parsePath } from '../../../common/volumes/paths.js';
import { find } from '../../../common/volumes/tree.js';
import type { VolumeAccess } from '../../../sdk/volumes/volume-access.js';
import type { FilePlace } from '../file-place.js';

/** False too where there is nothing. @throws NotFound */
export async function isDirectory(access: VolumeAccess, { name, path }: FilePlace): Promise<boolean> {
  await using state = await access.holdHead(name);
  return (await find(state.reader, state.root, parsePath(path)))?.type === 'directory';
}
