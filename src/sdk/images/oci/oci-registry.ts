import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import { isLoopback, type OciReference } from './oci-reference.js';
import type { OciSource } from './oci-source.js';
import { type RegistryAsk, registryFailed, registryRefused, troubleOf } from './registry-errors.js';
import { type RegistryLogin, registryLogin } from './registry-login.js';

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
  const registry = new URL(origin).host;
  const image = `${registry}/${repository}${version.startsWith('sha256:') ? '@' : ':'}${version}`;
  let authorization: string | null = null;
  let trouble: string | null = null;

  async function get(path: string): Promise<Response> {
    const of: RegistryAsk = { image, registry, what: path };
    const first = await ask(path, of);
    const challenge = first.headers.get('www-authenticate');
    if (first.status !== 401 || challenge === null) return succeeded(first, { ...of, trouble });
    await first.body?.cancel();
    // The login is the registry's: whoever it redirects to is told nothing of it, whatever that one asks for.
    const asker = new URL(first.url);
    if (asker.origin !== new URL(origin).origin) {
      throw registryRefused(of, `${asker.host}, to which it redirects, wants a login`, first.status);
    }
    const answer = await answerTo(challenge, repository, { of, signal });
    ({ authorization, trouble } = answer);
    const second = await ask(path, of);
    if (second.status === 401 && authorization.startsWith('Basic ')) trouble = loginRefused(registry);
    return succeeded(second, { ...of, trouble });
  }

  // What redirects it to another host, as registries do for blobs, has no authorization from here: fetch leaves that out.
  async function ask(path: string, of: RegistryAsk): Promise<Response> {
    const headers = { accept: manifestTypes, ...(authorization === null ? {} : { authorization }) };
    return await fetchFrom(`${origin}/v2/${repository}${path}`, { headers, of, signal });
  }

  return {
    place: `registry ${registry}`,
    top: version,
    manifest: async (name) => {
      const path = `/manifests/${name}`;
      return await wholeBody(await get(path), mostManifestBytes, { image, registry, what: path });
    },
    blob: async function* (digest) {
      const path = `/blobs/${digest}`;
      yield* bodyOf(await get(path), { image, registry, what: path });
    },
  };
}

interface Asked {
  readonly of: RegistryAsk;
  readonly signal: AbortSignal | undefined;
}

interface Answer {
  /** A header. */
  readonly authorization: string;
  /** See `RegistryAsk`. */
  readonly trouble: string | null;
}

/** By the login of this machine; without one, or where it is refused, by none: whoever may read without a name gets a token too. */
async function answerTo(challenge: string, repository: string, { of, signal }: Asked): Promise<Answer> {
  const { login, trouble } = await ownLogin(of.registry);
  if (/^basic\b/i.test(challenge)) {
    if (login !== null) return { authorization: `Basic ${login.basic}`, trouble };
    const why = `it wants a login: \`docker login ${of.registry}\` on this machine gives it one`;
    throw registryRefused({ ...of, trouble }, why);
  }
  const url = tokenUrl(challenge, repository, { ...of, trouble });
  const what = `a token of ${url.host}`;
  if (login !== null) {
    // Whoever is asked for a token reads the password: in the open on this machine only, as with the registry itself.
    if (url.protocol !== 'https:' && !isLoopback(url.hostname)) {
      throw registryRefused(of, `it wants its login sent to ${url.host} without TLS, which is not done`);
    }
    const headers = { authorization: `Basic ${login.basic}` };
    const answer = await fetchFrom(url.href, { headers, of: { ...of, what }, signal });
    const isRefused = answer.status === 401 || answer.status === 403;
    if (!isRefused) return { authorization: `Bearer ${await tokenOf(answer, { ...of, what })}`, trouble };
    await answer.body?.cancel();
  }
  const asked = { ...of, what, trouble: login === null ? trouble : loginRefused(of.registry) };
  const token = await tokenOf(await fetchFrom(url.href, { of: asked, signal }), asked);
  return { authorization: `Bearer ${token}`, trouble: asked.trouble };
}

/** A login that cannot be had, or is an old one, does not keep anybody from images that are public. */
async function ownLogin(registry: string): Promise<{ login: RegistryLogin | null; trouble: string | null }> {
  try {
    return { login: await registryLogin(registry), trouble: null };
  } catch (e) {
    if (!isHoldfastError(e)) throw e;
    return { login: null, trouble: `this machine's login was not to be had: ${e.message}` };
  }
}

function loginRefused(registry: string): string {
  // Docker's own is the one without a name.
  const named = registry === 'registry-1.docker.io' ? '' : ` ${registry}`;
  return `the login of this machine was refused: \`docker logout${named}\` forgets it, \`docker login${named}\` makes another`;
}

function tokenUrl(challenge: string, repository: string, of: RegistryAsk): URL {
  const field = (name: string): string | null => new RegExp(`${name}="([^"]*)"`, 'i').exec(challenge)?.[1] ?? null;
  const realm = field('realm');
  if (!/^bearer /i.test(challenge) || realm === null || !URL.canParse(realm)) {
    throw registryRefused(of, `it asks for ${challenge.split(' ')[0]}, expected a challenge for a bearer's token`);
  }
  const url = new URL(realm);
  const service = field('service');
  if (service !== null) url.searchParams.set('service', service);
  url.searchParams.set('scope', field('scope') ?? `repository:${repository}:pull`);
  return url;
}

async function tokenOf(response: Response, of: RegistryAsk): Promise<string> {
  const answer = succeeded(response, of);
  const token = tokenIn(Buffer.from(await wholeBody(answer, mostTokenBytes, of)).toString('utf8'));
  if (token === null) throw registryRefused(of, 'it sent none, expected JSON with `token` or `access_token`');
  return token;
}

function tokenIn(text: string): string | null {
  try {
    const { token, access_token } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const found = token ?? access_token;
    // What is no text for a header would be shown by the error that says so.
    return typeof found === 'string' && /^[\x21-\x7e]+$/.test(found) ? found : null;
  } catch {
    return null; // no JSON: told by whoever wants it
  }
}

/** Node gives up a server that is silent for five minutes. */
async function fetchFrom(
  url: string,
  { headers = {}, of, signal }: { headers?: Record<string, string>; of: RegistryAsk; signal: AbortSignal | undefined },
): Promise<Response> {
  try {
    return await fetch(url, { headers, ...(signal === undefined ? {} : { signal }) });
  } catch (cause) {
    throw registryFailed(of, 'it cannot be reached', { cause, signal });
  }
}

function succeeded(response: Response, of: RegistryAsk): Response {
  if (response.ok) return response;
  const { status } = response;
  void response.body?.cancel().catch(() => undefined); // nobody reads it
  if (status === 401 || status === 403) {
    throw registryRefused(of, `it answers ${status}, expected that this machine may read the image`, status);
  }
  if (status === 404) {
    const { image, registry, what } = of;
    const message = `image ${image}: registry ${registry} answers 404 for ${what}, expected a manifest; look whether the name and the tag or digest are right${troubleOf(of)}`;
    throw new HoldfastError('NotFound', message, { details: { image, registry, status } });
  }
  throw registryFailed(of, `it answers ${status}, expected 200`, { status });
}

async function wholeBody(response: Response, most: number, of: RegistryAsk): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of bodyOf(response, of)) {
    bytes += piece.length;
    if (bytes > most) {
      const message = `image ${of.image}: registry ${of.registry} sends more than ${most} bytes for ${of.what}, expected a manifest`;
      throw new HoldfastError('PayloadTooLarge', message, { details: { image: of.image, registry: of.registry } });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function* bodyOf({ body, headers }: Response, of: RegistryAsk): AsyncGenerator<Uint8Array, void, undefined> {
  const expected = headers.get('content-length');
  let bytes = 0;
  try {
    for await (const piece of body ?? []) {
      bytes += piece.length;
      yield piece;
    }
  } catch (cause) {
    throw registryFailed(of, `its answer broke off after ${bytes} of ${expected ?? 'unknown'} bytes`, { cause });
  }
}
