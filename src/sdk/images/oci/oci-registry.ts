import { HoldfastError } from '../../../common/errors.js';
import type { OciReference } from './oci-reference.js';
import type { OciSource } from './oci-source.js';

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');
const mostManifestBytes = 4_194_304;
const mostTokenBytes = 65_536;

/** An image of a registry. Source: the distribution specification, and Docker's "Token Authentication". */
export function registrySource(
  { origin, repository, version }: OciReference & { readonly in: 'registry' },
  signal: AbortSignal | undefined,
): OciSource {
  let authorization: string | null = null;
  const base = `${origin}/v2/${repository}`;

  async function get(path: string): Promise<Response> {
    const first = await ask(path);
    const challenge = first.headers.get('www-authenticate');
    if (first.status !== 401 || challenge === null) return succeeded(first, path);
    await first.body?.cancel();
    authorization = `Bearer ${await tokenFor(challenge, repository, signal)}`;
    return succeeded(await ask(path), path);
  }

  async function ask(path: string): Promise<Response> {
    const headers = { accept: manifestTypes, ...(authorization === null ? {} : { authorization }) };
    return await fetchFrom(`${base}${path}`, { headers, ...(signal === undefined ? {} : { signal }) });
  }

  return {
    top: version,
    manifest: async (name) => await wholeBody(await get(`/manifests/${name}`), mostManifestBytes),
    blob: async function* (digest) {
      const { body } = await get(`/blobs/${digest}`);
      if (body !== null) yield* body;
    },
  };
}

/** Whoever may read it without a name gets a token too. */
async function tokenFor(challenge: string, repository: string, signal: AbortSignal | undefined): Promise<string> {
  const field = (name: string): string | null => new RegExp(`${name}="([^"]*)"`, 'i').exec(challenge)?.[1] ?? null;
  const realm = field('realm');
  if (!/^bearer /i.test(challenge) || realm === null || !URL.canParse(realm)) {
    throw new HoldfastError(
      'PermissionDenied',
      `the registry asks for ${challenge.split(' ')[0]}, which is not supported`,
    );
  }
  const url = new URL(realm);
  const service = field('service');
  if (service !== null) url.searchParams.set('service', service);
  url.searchParams.set('scope', field('scope') ?? `repository:${repository}:pull`);
  const answer = succeeded(await fetchFrom(url.href, signal === undefined ? {} : { signal }), ' (a token)');
  const { token, access_token } = JSON.parse(Buffer.from(await wholeBody(answer, mostTokenBytes)).toString('utf8'));
  return String(token ?? access_token);
}

/** Node gives up a server that is silent for five minutes. */
async function fetchFrom(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throw new HoldfastError('Unavailable', `the registry at ${new URL(url).host} cannot be reached: ${cause}`, {
      cause,
    });
  }
}

function succeeded(response: Response, path: string): Response {
  if (response.ok) return response;
  const { status } = response;
  const code = status === 404 ? 'NotFound' : status === 401 || status === 403 ? 'PermissionDenied' : 'Unavailable';
  throw new HoldfastError(code, `the registry at ${new URL(response.url).host} answers ${status} for ${path}`);
}

async function wholeBody(response: Response, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > most) throw new HoldfastError('PayloadTooLarge', `the registry sends more than ${most} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
