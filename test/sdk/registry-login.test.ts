import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { resolveOci } from '../../src/sdk/images/oci/oci-image.js';
import { OciFixture, type OciRegistry, startOciRegistry } from '../system/images/oci-fixture.js';

const image = new OciFixture([{ 'srv/a': 'a' }]);
const [name, password] = ['robot', 'pass:word'];
let registry: OciRegistry;
let folder: string;

const config = (content: unknown): void => writeFileSync(join(folder, 'config.json'), JSON.stringify(content));
const auth = (secret: string) => ({ auth: Buffer.from(`${name}:${secret}`).toString('base64') });
const resolved = () => resolveOci(`${registry.host}/team/thing:1.0`, { folder });

beforeAll(async () => {
  registry = await startOciRegistry(image);
  folder = mkdtempSync(join(tmpdir(), 'holdfast-docker-'));
  vi.stubEnv('DOCKER_CONFIG', folder);
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`);
  const helper = `#!/bin/sh
read -r host
[ "$host" = "${registry.host}" ] || { echo 'credentials not found'; exit 1; }
echo '{"ServerURL":"x","Username":"${name}","Secret":"${password}"}'
`;
  writeFileSync(join(folder, 'docker-credential-test'), helper);
  chmodSync(join(folder, 'docker-credential-test'), 0o755);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await registry?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => config({}));

describe.each(['token', 'basic'] as const)('a registry that wants a login, by %s', (by) => {
  beforeEach(() => {
    registry.login = { name, password, by };
  });

  it('is read with what docker has left on this machine', async () => {
    config({ auths: { 'elsewhere.example': auth('other'), [registry.host]: auth(password) } });
    expect((await resolved()).blobs).toHaveLength(1);
  });

  it('is read with what a helper of docker gives, for all registries or for this one', async () => {
    config({ auths: { [registry.host]: {} }, credsStore: 'test' });
    expect((await resolved()).blobs).toHaveLength(1);
    config({ credHelpers: { [registry.host]: 'test' } });
    expect((await resolved()).blobs).toHaveLength(1);
  });

  it('refuses who has no login, or a wrong one, and the error has no password', async () => {
    await expect(resolved()).rejects.toMatchObject({ code: 'PermissionDenied' });
    config({ auths: { [registry.host]: auth('wrong-password') } });
    const refused = await resolved().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'PermissionDenied' });
    expect(String(refused)).toContain(`docker logout ${registry.host}`);
    expect(String(refused)).not.toContain('wrong-password');
    expect(String(refused)).not.toContain(auth('wrong-password').auth);
  });
});

describe('logins of which none can be used', () => {
  const damaged = (): void => writeFileSync(join(folder, 'config.json'), '{');
  const missing = (): void => config({ credHelpers: { [registry.host]: 'nowhere' } });
  const chatty = (): void => {
    writeFileSync(join(folder, 'docker-credential-chatty'), '#!/bin/sh\necho not-json-but-secret\n');
    chmodSync(join(folder, 'docker-credential-chatty'), 0o755);
    config({ credHelpers: { [registry.host]: 'chatty' } });
  };
  const stale = (): void => config({ auths: { [registry.host]: auth('stale') } });

  it.each([
    ['a file that is damaged', damaged, 'config.json'],
    ['a helper that is missing', missing, 'docker-credential-nowhere'],
    ['a helper that gives no JSON', chatty, 'docker-credential-chatty'],
    ['a password that is an old one', stale, 'docker logout'],
  ])('%s is said by name, and keeps nobody from public images', async (_, prepare, said) => {
    prepare();
    registry.login = { name, password, by: 'token' };
    const refused = await resolved().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'PermissionDenied', message: expect.stringContaining(said) });
    expect(String(refused)).not.toContain('not-json-but-secret');
    registry.login = { name, password, by: 'token', isPublic: true };
    expect((await resolved()).blobs).toHaveLength(1);
  });
});

it('whom a registry sends elsewhere with a request is not told its authorization', async () => {
  config({ auths: { [registry.host]: auth(password) } });
  registry.login = { name, password, by: 'basic' };
  const heard: (string | undefined)[] = [];
  const elsewhere = createServer(({ url = '', headers }, response) => {
    heard.push(headers.authorization);
    response.end(registry.blobs.get(url.slice('/cdn/'.length)));
  }).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  registry.cdn = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  try {
    expect((await resolved()).blobs).toHaveLength(1);
    expect(heard.length).toBeGreaterThan(0);
    expect(heard.filter((authorization) => authorization !== undefined)).toEqual([]);
  } finally {
    registry.cdn = '';
    elsewhere.close();
  }
});
