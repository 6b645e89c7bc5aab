import { HoldfastError } from '../../../common/errors.js';

/** Where the parts of an image come from. */
export interface OciSource {
  /** For messages. */
  readonly place: string;
  /** What the image is: a tag, or a digest. */
  readonly top: string;
  /** A manifest or an index, as it is stored. @param name a tag, or a digest */
  manifest(name: string): Promise<Uint8Array>;
  blob(digest: string): AsyncIterable<Uint8Array>;
}

/** One part, as a manifest names it. */
export interface OciDescriptor {
  readonly mediaType: string;
  /** `sha256:…` */
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** @param what for messages @throws InvalidArgument */
export function parseJson(bytes: Uint8Array, what: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Told below, as for JSON that is none.
  }
  throw new HoldfastError('InvalidArgument', `${what} is not the JSON of an OCI image`);
}
