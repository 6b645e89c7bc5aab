import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HoldfastError } from '../../../common/errors.js';
import type { OciReference } from './oci-reference.js';
import { type OciDescriptor, type OciSource, parseJson } from './oci-source.js';

const nameKey = 'org.opencontainers.image.ref.name';

/** An image of a layout. @param folder where a relative path starts @throws InvalidArgument, NotFound naming the tags that there are */
export async function layoutSource(
  { folder: path, tag }: OciReference & { readonly in: 'layout' },
  folder: string,
): Promise<OciSource> {
  const root = resolve(folder, path);
  const index = parseJson(await read(join(root, 'index.json')), `${root}/index.json`);
  const manifests = (index['manifests'] ?? []) as readonly OciDescriptor[];
  const named = tag === null ? manifests : manifests.filter(({ annotations }) => annotations?.[nameKey] === tag);
  const [only, ...others] = named;
  if (only === undefined || others.length > 0) {
    const names = manifests.map(({ annotations }) => annotations?.[nameKey] ?? 'one without a name').join(', ');
    throw new HoldfastError(
      'NotFound',
      `the layout in ${root} has not one image ${tag ?? ''}; it has: ${names || 'none'}`,
    );
  }
  return {
    place: `the layout in ${root}`,
    top: only.digest,
    manifest: (name) => read(blobPath(root, name)),
    blob: (digest) => stream(blobPath(root, digest)),
  };
}

function blobPath(root: string, digest: string): string {
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? [];
  if (hex === undefined)
    throw new HoldfastError('InvalidArgument', `the layout in ${root} names ${digest}; only sha256 is known`);
  return join(root, 'blobs/sha256', hex);
}

async function read(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
}

async function* stream(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): HoldfastError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `${path} of a layout of OCI cannot be read (${why}); write the layout anew`;
  return new HoldfastError('InvalidArgument', message, { cause });
}
