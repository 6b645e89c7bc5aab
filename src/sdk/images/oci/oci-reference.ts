import { HoldfastError } from '../../../common/errors.js';

/** Where an OCI image is: a layout in a folder, or a registry. */
export type OciReference =
  | { readonly in: 'layout'; readonly folder: string; readonly tag: string | null }
  | {
      readonly in: 'registry';
      readonly origin: string;
      readonly repository: string;
      /** A tag or a digest. */
      readonly version: string;
    };

const defaultHost = 'registry-1.docker.io';
const repositoryPattern = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;

/** @throws InvalidArgument */
export function parseOciReference(text: string): OciReference {
  const place = /^oci:(.+?)(?::(\w[\w.-]{0,127}))?$/.exec(text);
  if (place !== null) return { in: 'layout', folder: place[1] as string, tag: place[2] ?? null };
  const [image, digest] = splitAt(text.replace(/^docker:\/\//, ''), '@');
  const [first, ...rest] = image.split('/') as [string, ...string[]];
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const host = !hasHost || first === 'docker.io' ? defaultHost : first;
  const path = hasHost ? rest.join('/') : image;
  const [name, tag] = splitAt(path, ':');
  const repository = host === defaultHost && !name.includes('/') ? `library/${name}` : name;
  const version = digest ?? tag ?? 'latest';
  const isGood = digest === null ? tagPattern.test(version) : /^sha256:[0-9a-f]{64}$/.test(digest);
  if (!isGood || !repositoryPattern.test(repository) || !/^[\w.-]+(:\d+)?$/.test(host)) {
    throw new HoldfastError(
      'InvalidArgument',
      `${JSON.stringify(text)} is no reference of an OCI image: HOST/NAME:TAG, NAME@sha256:… or oci:FOLDER:TAG`,
    );
  }
  // Everybody's tools speak plain HTTP with this machine only.
  const scheme = isLoopback(host) ? 'http' : 'https';
  return { in: 'registry', origin: `${scheme}://${host}`, repository, version };
}

/** @param host with or without a port */
export function isLoopback(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$/.test(host);
}

function splitAt(text: string, separator: string): readonly [string, string | null] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}
