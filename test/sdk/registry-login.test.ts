import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
    expect(String(refused)).not.toContain('wrong-password');
    expect(String(refused)).not.toContain(auth('wrong-password').auth);
  });
});

it('a file of logins that is damaged, and a helper that is missing, are said by name', async () => {
  registry.login = { name, password, by: 'token' };
  writeFileSync(join(folder, 'config.json'), '{');
  await expect(resolved()).rejects.toMatchObject({ code: 'InvalidArgument', message: expect.stringContaining(folder) });
  config({ credHelpers: { [registry.host]: 'nowhere' } });
  const missing = { code: 'Unavailable', message: expect.stringContaining('docker-credential-nowhere') };
  await expect(resolved()).rejects.toMatchObject(missing);
});
