import { createHash } from 'node:crypto';
import { HoldfastError } from '../../../common/errors.js';
import type { ImageBase, LayerBlob } from '../../../common/image-recipe.js';
import type { LocalTar } from '../local-tar.js';
import { layoutSource } from './oci-layout.js';
import { parseOciReference } from './oci-reference.js';
import { registrySource } from './oci-registry.js';
import { type OciDescriptor, type OciSource, parseJson } from './oci-source.js';

/** An OCI image whose parts are known by their hashes. */
export interface ResolvedOci {
  readonly base: ImageBase & { readonly from: 'layers' };
  /** Its layers, by the hash. */
  readonly blobs: readonly LocalTar[];
}

/** For messages. */
interface From {
  readonly reference: string;
  readonly place: string;
}

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const mostLayers = 127;
const mostConfigBytes = 4_194_304;
const packings: readonly (readonly [ending: RegExp, packing: LayerBlob['packing']])[] = [
  [/[.+]gzip$/, 'gzip'],
  [/[.+]zstd$/, 'zstd'],
  [/tar$/, 'none'],
];

/**
 * What a reference means now; nothing but manifests and the configuration is read.
 *
 * @param from.folder where a relative path of a layout starts
 * @throws NotFound, PermissionDenied, Unavailable (a registry), InvalidArgument
 */
export async function resolveOci(
  reference: string,
  { folder, signal }: { readonly folder: string; readonly signal?: AbortSignal | undefined },
): Promise<ResolvedOci> {
  const parsed = parseOciReference(reference);
  const source = parsed.in === 'layout' ? await layoutSource(parsed, folder) : registrySource(parsed, signal);
  const manifest = await platformManifest(source, reference);
  const layers = (manifest['layers'] ?? []) as readonly OciDescriptor[];
  if (!Array.isArray(layers) || layers.length === 0 || layers.length > mostLayers)
    throw wrong(reference, `it has no list of 1 to ${mostLayers} layers`);
  const configDigest = (manifest['config'] as OciDescriptor | undefined)?.digest ?? '';
  const from: From = { reference, place: source.place };
  const config = parseJson(await whole(source, configDigest, from), `the configuration of ${reference}`);
  const blobs = layers.map(({ mediaType, digest }) => ({
    sha256: hexOf(digest, reference),
    packing: packingOf(mediaType, reference),
  }));
  return {
    base: { from: 'layers', name: reference, layers: blobs, ...settingsOf(config) },
    blobs: blobs.map(({ sha256 }) => ({ sha256, read: () => verified(source.blob(`sha256:${sha256}`), sha256, from) })),
  };
}

/** Through an index to what is for this machine's architecture. */
async function platformManifest(source: OciSource, reference: string): Promise<Readonly<Record<string, unknown>>> {
  const top = await checkedManifest(source, source.top, reference);
  if (!Array.isArray(top['manifests'])) return top;
  const architecture = architectures[process.arch] ?? process.arch;
  const listed = top['manifests'] as readonly OciDescriptor[];
  const found = listed.find(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture);
  if (found === undefined) throw wrong(reference, `it has nothing for linux/${architecture}`);
  return await checkedManifest(source, found.digest, reference);
}

async function checkedManifest(source: OciSource, name: string, reference: string) {
  const bytes = await source.manifest(name);
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(name) ?? [];
  if (hex !== undefined && hashOf(bytes) !== hex)
    throw changed(hex, { hash: hashOf(bytes), bytes: bytes.length }, { reference, place: source.place });
  return parseJson(bytes, `the manifest of ${reference}`);
}

async function whole(source: OciSource, digest: string, from: From): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of verified(source.blob(digest), hexOf(digest, from.reference), from)) {
    bytes += piece.length;
    if (bytes > mostConfigBytes)
      throw new HoldfastError(
        'PayloadTooLarge',
        `the configuration of ${from.reference} has more than ${mostConfigBytes} bytes`,
      );
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** @throws Unavailable where the bytes are others than those of the hash */
async function* verified(
  bytes: AsyncIterable<Uint8Array>,
  sha256: string,
  from: From,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const piece of bytes) {
    hash.update(piece);
    length += piece.length;
    yield piece;
  }
  const got = hash.digest('hex');
  if (got !== sha256) throw changed(sha256, { hash: got, bytes: length }, from);
}

function settingsOf({ config }: Readonly<Record<string, unknown>>): Pick<ResolvedOci['base'], 'env' | 'workdir'> {
  const { Env = [], WorkingDir = '' } = (config ?? {}) as { Env?: readonly string[] | null; WorkingDir?: string };
  const entries = (Env ?? []).map(
    (entry) => [entry.split('=', 1)[0] ?? '', entry.slice(entry.indexOf('=') + 1)] as const,
  );
  return { env: Object.fromEntries(entries), workdir: WorkingDir.startsWith('/') ? WorkingDir : null };
}

function packingOf(mediaType: string, reference: string): LayerBlob['packing'] {
  const packing = packings.find(([ending]) => ending.test(mediaType))?.[1];
  if (packing === undefined) throw wrong(reference, `a layer is ${mediaType}`);
  return packing;
}

function hexOf(digest: string, reference: string): string {
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? [];
  if (hex === undefined) throw wrong(reference, `it names ${JSON.stringify(digest)}; only sha256 is known`);
  return hex;
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function changed(
  sha256: string,
  got: { readonly hash: string; readonly bytes: number },
  { reference, place }: From,
): HoldfastError {
  const message = `image ${reference}: ${place} gave ${got.bytes} bytes with sha256:${got.hash}, expected sha256:${sha256}: they were changed or cut off; deploy again, or push the image anew`;
  return new HoldfastError('Unavailable', message, { details: { image: reference, expected: `sha256:${sha256}` } });
}

function wrong(reference: string, why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `the OCI image ${reference} cannot be used: ${why}`);
}
