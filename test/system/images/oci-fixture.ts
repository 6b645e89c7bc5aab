import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** An OCI image of these layers, each a list of files; where a name ends with `/` it is a folder. */
export class OciFixture {
  /** By hash. */
  readonly blobs = new Map<string, Buffer>();
  readonly indexDigest: string;

  constructor(layers: readonly Readonly<Record<string, string>>[]) {
    const stored = layers.map((files, index) => {
      const tar = tarOf(files);
      return index === 0 ? this.#add(gzipSync(tar), `${types.layer}+gzip`) : this.#add(tar, types.layer);
    });
    const config = { Env: ['PATH=/opt/bin:/usr/bin', 'GREETING=a=b'], WorkingDir: '/srv/work' };
    const manifest = this.#addJson(
      {
        ...{ schemaVersion: 2, mediaType: types.manifest },
        config: this.#addJson({ architecture, os: 'linux', config }, 'application/vnd.oci.image.config.v1+json'),
        layers: stored,
      },
      types.manifest,
    );
    const platform = { os: 'linux', architecture };
    const others = { ...manifest, digest: `sha256:${'0'.repeat(64)}`, platform: { os: 'windows', architecture } };
    const index = { schemaVersion: 2, mediaType: types.index, manifests: [others, { ...manifest, platform }] };
    this.indexDigest = this.#addJson(index, types.index).digest;
  }

  writeLayout(folder: string): void {
    mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
    for (const [digest, bytes] of this.blobs) writeFileSync(join(folder, 'blobs', digest.replace(':', '/')), bytes);
    const annotations = { 'org.opencontainers.image.ref.name': 'tagged' };
    const manifests = [{ mediaType: types.index, digest: this.indexDigest, size: 1, annotations }];
    writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  }

  #addJson(value: object, mediaType: string) {
    return this.#add(Buffer.from(JSON.stringify(value)), mediaType);
  }

  #add(bytes: Buffer, mediaType: string) {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

export function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-layer-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, name);
      mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true });
      if (!name.endsWith('/')) writeFileSync(path, text);
    }
    return execFileSync('tar', ['-C', folder, '--sort=name', '-cf', '-', '.'], { maxBuffer: 1e9 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A registry that wants a token, and sends whoever asks for a blob elsewhere. */
export interface OciRegistry extends AsyncDisposable {
  readonly host: string;
  /** Paths that were asked for with a token. */
  readonly asked: string[];
  /** What whoever asks for a token, or for anything where there are none, must send; null: nothing. To be changed. */
  login: {
    readonly name: string;
    readonly password: string;
    readonly by: 'token' | 'basic';
    readonly isPublic?: boolean;
  } | null;
  /** Where blobs are: `http://host:port`; empty: here. To be changed. */
  cdn: string;
  /** What it has; to be changed. */
  readonly blobs: Map<string, Buffer>;
}

export async function startOciRegistry(image: OciFixture): Promise<OciRegistry> {
  const blobs = new Map(image.blobs);
  const asked: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', `http://${host}`);
    const { login } = registry;
    const basic = login === null ? null : `Basic ${Buffer.from(`${login.name}:${login.password}`).toString('base64')}`;
    if (login?.by === 'basic' && request.headers.authorization !== basic) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    if (url.pathname === '/token') {
      const { authorization } = request.headers;
      const isRefused = login?.isPublic === true ? authorization !== undefined : basic !== null;
      if (isRefused && authorization !== basic) return void response.writeHead(401).end();
      const scope = url.searchParams.get('scope');
      response.end(JSON.stringify(scope === 'repository:team/thing:pull' ? { token: 'given' } : {}));
      return;
    }
    const cdn = /^\/cdn\/(.*)$/.exec(url.pathname)?.[1];
    if (cdn !== undefined) return void response.end(blobs.get(cdn));
    if (login?.by !== 'basic' && request.headers.authorization !== 'Bearer given') {
      const challenge = `Bearer realm="http://${host}/token",service="test",scope="repository:team/thing:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return;
    }
    asked.push(url.pathname);
    const [, kind, name = ''] = /^\/v2\/team\/thing\/(manifests|blobs)\/(.*)$/.exec(url.pathname) ?? [];
    const digest = name === '1.0' ? image.indexDigest : name;
    const bytes = blobs.get(digest);
    if (bytes === undefined) response.writeHead(404).end();
    else if (kind === 'blobs') response.writeHead(307, { location: `${registry.cdn}/cdn/${digest}` }).end();
    else response.end(bytes);
  };
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const registry: OciRegistry = {
    ...{ host, asked, blobs, login: null, cdn: '' },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return registry;
}
