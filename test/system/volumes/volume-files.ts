import { createHash } from 'node:crypto';
import type { Volume } from 'holdfast';

/** All of a file. */
export async function contentOf(volume: Volume, path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of volume.readFile(path)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Every file of a volume, or below a directory of it, by its path, as a hash; links and directories by their type. */
export async function filesOf(volume: Volume, below = ''): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const { path, type } of await volume.listdir(below, { recursive: true })) {
    files[path] = type === 'file' ? hashOf(await contentOf(volume, path)) : type;
  }
  return files;
}

export function hashOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
