import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { App, type RemoteApp, type SandboxSession, Secret } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { SigningS3Server } from '../../s3/signing-server.js';
import { startS3, type TestServer } from '../../servers.js';

type BucketApp = typeof import('../../fixtures/bucket-app.js');

const project = fileURLToPath(new URL('../../..', import.meta.url));
const needle = 'bucket-needle-4711';

describe.runIf(canIsolate)('buckets in containers', () => {
  let s3: TestServer & { readonly bucket: string };
  let strict: SigningS3Server;
  let cluster: TestCluster;
  let app: RemoteApp<BucketApp>;
  let folder = '';

  beforeAll(async () => {
    [s3, strict] = await Promise.all([startS3(), SigningS3Server.start()]);
    cluster = await startCluster({ mode: 'embedded', isolation: 'bubblewrap' });
    const { client } = cluster;
    await Secret.create('BUCKET_ACCESS_KEY', { KEY: 'AKIDTEST' }, { client });
    await Secret.create('BUCKET_SECRET_KEY', needle, { client });
    await Secret.create('SEVERAL', { A: 'a', B: 'b' }, { client });
    folder = mkdtempSync(join(tmpdir(), 'holdfast-buckets-'));
    await deploy('test/fixtures/bucket-app.ts', {
      'http://s3.invalid': s3.url,
      'http://strict.invalid': strict.endpoint,
    });
    app = await App.lookup<BucketApp>('buckets-test', { client });
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
    await strict?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  }, 120_000);

  /** A module is described with no environment: what it cannot know is put in. */
  const deploy = async (path: string, replaced: Readonly<Record<string, string>>): Promise<void> => {
    let source = readFileSync(join(project, path), 'utf8');
    for (const [from, to] of Object.entries(replaced)) source = source.replace(from, to);
    const module = join(folder, basename(path));
    writeFileSync(module, source);
    await cluster.deploy(pathToFileURL(module));
  };
  const say = async (session: SandboxSession, command: string): Promise<string> =>
    (await session.exec(command, { shell: true, check: true })).stdout;
  const put = (key: string, body: string) =>
    fetch(`${s3.url}/${s3.bucket}/team/datasets/${key}`, { method: 'PUT', body });
  const kept = async (key: string): Promise<string> =>
    await (await fetch(`${s3.url}/${s3.bucket}/team/datasets/${key}`)).text();
  const refusal = async (session: Promise<SandboxSession>): Promise<unknown> =>
    await session.then((made) => made.pwd()).catch((error: unknown) => error);

  it('are files of sessions and classes, whose keys nobody inside can see', async () => {
    await put('known', 'from elsewhere');
    await using session = await app.work.create();
    expect(
      await say(session, 'cat /bucket/known; mkdir /bucket/d; echo made > /bucket/d/a; stat -c %U /bucket/d/a'),
    ).toBe('from elsewhereuser\n');
    expect(await kept('d/a')).toBe('made\n');
    const lister = await app.Lister.named('one');
    expect(await lister.list()).toEqual(['d', 'known']);
    expect(await lister.copy('d/a', 'b')).toBe('made\n');
    expect(await say(session, 'cat /bucket/b')).toBe('made\n');
    const inside = await say(session, 'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr "\\0" "\\n"; mount');
    const told = [await session.inspect(), await lister.environment(), session.handle];
    expect(`${inside}${JSON.stringify(told)}`).not.toContain('needle');
    await lister.close();
  });

  it('are what the example says', async () => {
    await deploy('examples/cloud-bucket/app.ts', { 'https://storage.example.com': s3.url, 'team-datasets': s3.bucket });
    const keys = { BUCKET_ACCESS_KEY: 'AKIDTEST', BUCKET_SECRET_KEY: needle };
    const to = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
    const main = join(project, 'examples/cloud-bucket/main.ts');
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', main], {
      env: { ...process.env, ...keys, ...to },
    });
    expect(stdout).toBe(
      '$ printf "milk,2\\nbread,3\\n" > /bucket/prices.csv && ls /bucket\nprices.csv\n' +
        '$ cut -d, -f2 /bucket/prices.csv | sort | tail -1\n3\n$ env | grep -c BUCKET\n0\na function sees: prices.csv\n',
    );
  });

  it('may be read-only', async () => {
    await using looker = await app.lookers.create();
    expect(await say(looker, 'ls /bucket | head -1; touch /bucket/x 2>&1 || true')).toMatch(/Read-only file system/);
  });

  it('that cannot be mounted are a clear error before anything starts', async () => {
    expect(await refusal(app.missing.create())).toMatchObject({
      code: 'VolumeUnavailable',
      message: expect.stringContaining('nowhere'),
      details: { reason: 'NotFound' },
    });
    const denied = await refusal(app.denied.create());
    expect(denied).toMatchObject({
      code: 'VolumeUnavailable',
      message: expect.stringMatching(/secret key is wrong.*BUCKET_SECRET_KEY/),
      details: { reason: 'PermissionDenied' },
    });
    expect(JSON.stringify(denied) + String(denied)).not.toContain(needle);
    expect(await refusal(app.unknown.create())).toMatchObject({
      code: 'NotFound',
      message: expect.stringContaining('NEVER_MADE'),
    });
    expect(await refusal(app.unclear.create())).toMatchObject({
      code: 'VolumeUnavailable',
      message: expect.stringContaining('SEVERAL'),
    });
  });
});
