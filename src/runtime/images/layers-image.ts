import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { HoldfastError } from '../../common/errors.js';
import type { ImageBase, LayerBlob } from '../../common/image-recipe.js';
import type { ImageStore } from '../../common/images/image-store.js';
import { tarBlock, tarHeaders, tarPadding } from '../../common/tar-header.js';
import { machineFiles } from '../isolation/scratch-template.js';
import { type BuildFiles, checked } from './build-step.js';
import { fromOciLayer } from './oci-layer.js';
import type { BuildWatch } from './shared-build.js';

/**
 * The image of OCI's layers, with what is the machine's on top.
 *
 * @returns its id @throws FileNotFound with `details.sha256` where a layer is to be sent first, InvalidArgument for one that is
 * none, PayloadTooLarge, Unavailable, the signal's reason
 */
export async function imageOfLayers(
  { layers, env, workdir }: ImageBase & { readonly from: 'layers' },
  { store, files }: { readonly store: ImageStore; readonly files: BuildFiles },
  { onEvent, signal }: BuildWatch,
): Promise<string> {
  const stored: string[] = [];
  for (const [index, blob] of layers.entries()) {
    signal.throwIfAborted();
    onEvent({ type: 'output', text: `layer ${index + 1} of ${layers.length}\n` });
    const tar = unpacked(until(checked(files(blob.sha256), blob.sha256), signal), blob);
    const layer = await store.putLayer(fromOciLayer(tar));
    // An overlay takes no folder twice, and the same changes twice are the same as the later one.
    if (stored.includes(layer)) stored.splice(stored.indexOf(layer), 1);
    stored.unshift(layer);
  }
  const machine = await store.putLayer(machineLayer());
  return await store.putImage({ base: 'none', layers: [machine, ...stored], env, workdir });
}

async function* until(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of bytes) {
    signal.throwIfAborted();
    yield piece;
  }
}

async function* unpacked(
  bytes: AsyncIterable<Uint8Array>,
  { packing, sha256 }: LayerBlob,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (packing === 'none') return yield* bytes;
  const unpacker = packing === 'gzip' ? zlib.createGunzip() : createUnzstd();
  const feeding = pipeline(Readable.from(bytes), unpacker);
  feeding.catch(() => undefined); // thrown below
  try {
    yield* unpacker as AsyncIterable<Uint8Array>;
    // What did not fit the hash ends it, too.
    await feeding;
  } catch (e) {
    const cause = await feeding.then(() => e).catch((why: unknown) => why);
    if (!isDamage(cause)) throw cause;
    throw new HoldfastError('InvalidArgument', `layer ${sha256.slice(0, 12)} of an OCI image is no ${packing}`, {
      cause,
    });
  } finally {
    unpacker.destroy();
  }
}

function isDamage(e: unknown): boolean {
  return e instanceof Error && /^Z_|^ZSTD_/.test(String((e as NodeJS.ErrnoException).code));
}

/** Node has it from 22.15 on. */
function createUnzstd(): zlib.Gunzip {
  const create = (zlib as { readonly createZstdDecompress?: () => zlib.Gunzip }).createZstdDecompress;
  if (create !== undefined) return create();
  throw new HoldfastError('InvalidArgument', 'layers that are packed with zstd need Node 22.15 or newer at the worker');
}

async function* machineLayer(): AsyncGenerator<Uint8Array, void, undefined> {
  yield tarHeaders({ name: 'tmp', type: 'folder', mode: 0o1777 });
  for (const [name, text] of machineFiles) {
    const bytes = Buffer.from(text);
    yield tarHeaders({ name, type: 'file', mode: 0o644, size: bytes.length });
    yield bytes;
    yield tarPadding(bytes.length);
  }
  yield new Uint8Array(2 * tarBlock);
}
