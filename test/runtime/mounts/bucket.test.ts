import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BucketReference } from '../../../src/common/volume-mounts.js';
import type { HostMount } from '../../../src/runtime/mounts/mount-host.js';
import { canRunPython } from '../../isolation-host.js';
import { S3FaultProxy } from '../../s3/fault-proxy.js';
import { startS3, type TestServer } from '../../servers.js';
import { MountWorld, mountedBelow, run } from './mount-world.js';

const keys = { accessKeyId: 'AKIDTEST', secretAccessKey: 'bucket-needle-1' };
const mebibyte = 1_048_576;

describe.runIf(canRunPython)('a bucket that is mounted', () => {
  let s3: TestServer & { readonly bucket: string };
  let proxy: S3FaultProxy;
  let world: MountWorld;
  let mounts = 0;

  beforeAll(async () => {
    s3 = await startS3();
    proxy = await S3FaultProxy.start(s3.url);
    world = await MountWorld.start();
  });

  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
    expect(mountedBelow(world.folder)).toEqual([]);
    await proxy?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  const put = async (key: string, body: string): Promise<void> => {
    const { ok } = await fetch(`${s3.url}/${s3.bucket}/${key}`, { method: 'PUT', body });
    expect(ok).toBe(true);
  };
  const text = async (key: string): Promise<string | null> => {
    const answer = await fetch(`${s3.url}/${s3.bucket}/${key}`);
    return answer.ok ? await answer.text() : null;
  };
  const keysBelow = async (prefix: string): Promise<string[]> => {
    const listing = await (await fetch(`${s3.url}/${s3.bucket}?list-type=2&prefix=${prefix}`)).text();
    return [...listing.matchAll(/<Key>([^<]+)<\/Key>/g)].map((match) => match[1] ?? '');
  };
  const mount = async (
    prefix: string,
    how: Partial<BucketReference & { isReadOnly: boolean; maxLocalBytes: number }> = {},
  ): Promise<HostMount> => {
    mounts += 1;
    const { isReadOnly = false, maxLocalBytes = 1e9, ...other } = how;
    const bucket: BucketReference = {
      ...{ bucketName: s3.bucket, endpointUrl: proxy.endpoint, region: 'auto', forcePathStyle: true, prefix },
      ...{ accessKeySecret: 'access', secretKeySecret: 'secret', ...other },
    };
    return await world.host.attachTree({
      name: `b${mounts}`,
      uid: 0,
      isReadOnly,
      maxLocalBytes,
      source: { kind: 'bucket', bucket, keys },
    });
  };

  it('has files that are made, read, changed, moved and removed as any others', async () => {
    await put('crud/known/a.txt', 'from elsewhere');
    await put('outside', 'nobody sees it');
    const { folder } = await mount('crud');
    const said = await run(
      folder,
      `
      no() { if "$@" 2>/dev/null; then echo worked: "$@"; fi; }
      find . | sort; cat known/a.txt; echo
      echo one > f; cat f; echo two >> f; cat f; stat -c '%s %F %a' f known
      printf 0123456789 > t; truncate -s 4 t; cat t; truncate -s 6 t; od -An -c t | tr -d ' '
      printf xy | dd of=t bs=1 seek=1 conv=notrunc status=none; head -c 4 t; echo
      mv f known/b; cat known/b; mkdir -p d/e; no rmdir d; mv known d/e/k; ls d/e/k
      no ln d/e/k/b hard; no ln -s d soft; no mkfifo pipe; no mv d/e d/e/inner
      exec 5<> open; echo x >&5; ls open; cat open; rm open; [ ! -e open ]; exec 5>&-
      rm d/e/k/a.txt; rm d/e/k/b; rmdir d/e/k; rm -r d; ls
      cp -p /etc/hostname host; cmp host /etc/hostname; mkdir p; tar cf - -C /etc hostname | tar xf - -C p; ls p
      for i in 1 2 3; do echo $i > new; mv new name; done; cat name
      python3 -c "import mmap; f = open('t', 'rb'); print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:2])"`,
    );
    expect(said).toBe(
      `.\n./known\n./known/a.txt\nfrom elsewhere\none\none\ntwo\n8 regular file 644\n0 directory 755\n` +
        `01230123\\0\\0\n0xy3\none\ntwo\na.txt\nb\nopen\nx\nt\nhostname\n3\nb'0x'\n`,
    );
    expect(await keysBelow('crud/')).toEqual(['crud/host', 'crud/name', 'crud/p/', 'crud/p/hostname', 'crud/t']);
    expect(await text('crud/name')).toBe('3\n');
    expect(await text('outside')).toBe('nobody sees it');
  });

  it('keeps nothing back when a file is closed or synced, and shows what others put there', async () => {
    const { folder } = await mount('shared');
    await run(
      folder,
      `python3 -c "
import os
f = open('synced', 'w'); f.write('synced'); f.flush(); os.fsync(f.fileno())
os.rename('synced', 'moved'); f.write(' and more'); f.close()"`,
    );
    expect(await text('shared/moved')).toBe('synced and more');
    await put('shared/moved', 'by another');
    expect(await run(folder, 'cat moved')).toBe('by another');
    await put('shared/late/file', 'x');
    expect(await run(folder, 'cat late/file')).toBe('x');
  });

  it('lists more keys than a page has, and files of many names', async () => {
    await Promise.all(Array.from({ length: 1_203 }, (_, i) => put(`many/f${i}`, String(i))));
    const { folder } = await mount('many');
    expect(
      await run(
        folder,
        'ls | wc -l; ls -l | grep -c root; cat f1202; mkdir "d e"; echo z > "d e/é"; ls d*; rm -r d*; ls | wc -l',
      ),
    ).toBe('1203\n1203\n1202é\n1203\n');
    expect(await keysBelow('many/d')).toEqual([]);
  });

  it('reads parts of large files, fetches them once, and uploads in parts', async () => {
    const { folder } = await mount('large');
    const sum = `head -c ${20 * mebibyte} < <(yes bucket | tr -d '\\n') | md5sum`;
    const made = await run(folder, `head -c ${20 * mebibyte} < <(yes bucket | tr -d '\\n') > big; ${sum}`);
    expect(proxy.seen.filter((line) => /partNumber=\d/.test(line))).toHaveLength(3);
    proxy.seen.length = 0;
    expect(await run(folder, `tail -c 3 big; dd if=big bs=1 skip=${9 * mebibyte} count=2 status=none | wc -c`)).toBe(
      'uck2\n'.replace('uck', await run('/', `head -c ${20 * mebibyte} < <(yes bucket | tr -d '\\n') | tail -c 3`)),
    );
    expect(proxy.seen.filter((line) => line.startsWith('GET') && line.includes('/large/big')).length).toBeLessThan(4);
    expect(await run(folder, 'md5sum < big; md5sum < big')).toBe(made + made);
    expect(proxy.seen.filter((line) => line.startsWith('GET') && line.includes('/large/big')).length).toBeLessThan(8);
  });

  it('gives an error when an upload fails, leaves no parts, and nobody sees half a file', async () => {
    const { folder } = await mount('broken');
    await put('broken/kept', 'old');
    proxy.fault = ({ method, query }) => (method === 'PUT' && query.get('partNumber') !== '1' ? 'error-500' : null);
    try {
      const said = await run(
        folder,
        `head -c ${10 * mebibyte} /dev/zero > kept || echo failed; python3 -c "
try:
  f = open('other', 'w'); f.write('x'); f.close()
except OSError as e: print(e.strerror)"`,
      );
      expect(said).toBe('failed\nInput/output error\n');
    } finally {
      proxy.fault = () => null;
    }
    expect(await run(folder, 'cat kept; ls')).toBe('oldkept\n');
    const uploads = await (await fetch(`${s3.url}/${s3.bucket}?uploads`)).text();
    expect(uploads).not.toContain('<Upload>');
    expect(await run(folder, 'echo new > kept; cat kept')).toBe('new\n');
  });

  it('gives an error, within a bound, where the endpoint stalls or breaks off in an answer, then goes on', async () => {
    await put('stall/a', 'x'.repeat(100_000));
    const { folder } = await mount('stall');
    const fault = { kind: 'stall-midway' as 'stall-midway' | 'cut' };
    proxy.fault = ({ method, path }) => (method === 'GET' && path.endsWith('/stall/a') ? fault.kind : null);
    try {
      for (fault.kind of ['stall-midway', 'cut'] as const)
        expect(await run(folder, 'cat a 2>&1 > /dev/null || true')).toContain('Input/output error');
    } finally {
      proxy.fault = () => null;
    }
    expect(await run(folder, 'wc -c < a')).toBe('100000\n');
  });

  it('reads one state of a file: whoever has it open hears that it was replaced', async () => {
    await put('swap/a', 'a'.repeat(9 * mebibyte));
    const { folder } = await mount('swap');
    const said = run(
      folder,
      // Beyond what is fetched before it is asked for.
      `exec 5< a; head -c 1 <&5; echo; echo > ready; until [ -e go ]; do sleep 0.1; done
      dd bs=1M skip=8 count=1 status=none <&5 2>&1 | tail -c 40; exec 5>&-; head -c 2 a`,
    );
    await expect.poll(() => text('swap/ready'), { timeout: 60_000 }).not.toBeNull();
    await put('swap/a', 'b'.repeat(9 * mebibyte));
    await put('swap/go', '');
    expect(await said).toMatch(/^a\n.*Stale file handle\nbb$/s);
  });

  it('keeps no more on the host than it may until it is uploaded', async () => {
    const { folder } = await mount('narrow', { maxLocalBytes: 3_000_000 });
    expect(
      await run(
        folder,
        'head -c 2000000 /dev/zero > a; exec 5> b; head -c 4000000 /dev/zero >&5 2>err || grep -o "No space.*" err',
      ),
    ).toBe('No space left on device\n');
    expect(await run(folder, 'exec 5<> c; truncate -s 5000000 c 2>&1 | grep -o "No space.*"; wc -c < a')).toBe(
      'No space left on device\n2000000\n',
    );
  });

  it('that is read-only refuses every change', async () => {
    await put('fixed/a', 'x');
    const { folder } = await mount('fixed', { isReadOnly: true });
    expect(
      await run(
        folder,
        `
      for what in 'touch b' 'rm a' 'mv a b' 'mkdir d' 'truncate -s 0 a' 'tee -a a'; do
        if $what < /dev/null > /dev/null 2>err; then echo worked: $what; fi
      done 2>/dev/null; ( echo > a ) 2>&1 | grep -o 'Read-only.*'; cat a`.replace('2>err', '2>/dev/null'),
      ),
    ).toBe('Read-only file system\nx');
  });

  it('is refused before anything starts where it is not there, or nobody answers', async () => {
    const refused = await mount('', { bucketName: 'no-such-bucket' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'VolumeUnavailable',
      details: { bucketName: 'no-such-bucket', reason: 'NotFound' },
    });
    const silent = await mount('', { endpointUrl: 'http://127.0.0.1:1' }).catch((error: unknown) => error);
    expect(silent).toMatchObject({ code: 'VolumeUnavailable', details: { reason: 'Unavailable' } });
    expect(`${refused}${silent}${JSON.stringify([refused, silent])}`).not.toContain(keys.secretAccessKey);
  });

  it('leaves nothing on the host when it is detached', async () => {
    const mounted = await mount('gone');
    await run(mounted.folder, 'echo x > a');
    await mounted.detach();
    await expect(run(mounted.folder, 'ls')).rejects.toThrow();
    expect(await text('gone/a')).toBe('x\n');
    const boot = readdirSync(world.folder).map((name) => `${world.folder}/${name}/local`);
    const locals = boot.flatMap((folder) => readdirSync(folder));
    expect(locals.some((name) => name.startsWith(`b${mounts}-`))).toBe(false);
  });
});
