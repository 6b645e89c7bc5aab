import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, type ClassInstance, NetworkFileSystem, type RemoteApp, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate, isolatedTest } from '../../isolated-test.js';
import { errorOf } from '../sandboxes/sandbox-world.js';

type InsideApp = typeof import('../../fixtures/inside-app.js');

const textOf = async (pieces: AsyncIterable<Uint8Array>): Promise<string> => {
  const found: Uint8Array[] = [];
  for await (const piece of pieces) found.push(piece);
  return Buffer.concat(found).toString();
};

/** What the code inside was refused with, and did not catch. */
const codeInside = async (call: Promise<unknown>): Promise<unknown> =>
  ((await errorOf(call)).cause as { code?: unknown } | undefined)?.code;

describe('clients in class containers, with no credentials and no network', () => {
  let cluster: TestCluster;
  let app: RemoteApp<InsideApp>;
  let librarian: ClassInstance<InsideApp['Librarian']>;
  const choice = () => ({ client: cluster.client });

  beforeAll(async () => {
    cluster = await startCluster({ mode: 'real', isolation: canIsolate ? 'bubblewrap' : 'process' });
    await cluster.deploy(new URL('../../fixtures/inside-app.ts', import.meta.url));
    app = await App.lookup<InsideApp>('inside-test', choice());
    librarian = await app.Librarian.named('one');
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
  }, 120_000);

  it('read and write volumes that are not mounted, and what they write others see', async () => {
    const volume = Volume.fromName('shared', choice());
    await librarian.write('shared', 'd/small', 'by a class');
    expect(await textOf(volume.readFile('d/small'))).toBe('by a class');
    // Three chunks, and more than travels at once.
    const big = randomBytes(17_000_000);
    await librarian.write('shared', 'big', big);
    expect(Buffer.compare(Buffer.from(await librarian.read('shared', 'big')), big)).toBe(0);
    await volume.writeFile('by-client', 'outside');
    expect(Buffer.from(await librarian.read('shared', 'by-client')).toString()).toBe('outside');
    expect(await librarian.list('shared')).toEqual(['big', 'by-client', 'd', 'd/small']);
    expect(await codeInside(librarian.read('shared', 'nothing'))).toBe('FileNotFound');
    expect(await codeInside(librarian.read('nowhere', 'a'))).toBe('NotFound');
    expect(await codeInside(librarian.write('shared', '../out', 'a'))).toBe('InvalidArgument');
  });

  it('do all that clients of volumes do elsewhere', async () => {
    expect(await librarian.all('all')).toEqual({
      changes: [
        ...['d', 'd/a'].map((path) => ({ path, change: 'deleted' })),
        ...['e', 'e/a'].map((path) => ({ path, change: 'added' })),
      ],
      seen: [
        ['d', 'd/a'],
        ['d', 'd/a'],
      ],
      commits: 4,
      deleted: [{ deleted: true }, { deleted: true }],
    });
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-inside-'));
    writeFileSync(join(folder, 'rows.csv'), '1,2\n'.repeat(10_000));
    execFileSync('tar', ['czf', 'rows.tar.gz', 'rows.csv'], { cwd: folder });
    expect(await librarian.archive('archived', readFileSync(join(folder, 'rows.tar.gz')))).toEqual(['rows.csv']);
    rmSync(folder, { recursive: true });
    const brief = await librarian.brief();
    const names = await librarian.volumes();
    expect(names).toEqual(expect.arrayContaining(['archived', 'shared']));
    expect(names).not.toContain(brief);
  });

  it('that are many at once take turns, and no commit is lost', async () => {
    await Promise.all([librarian.writeMany('many', 12, 2_500_000), librarian.writeMany('many-more', 12, 1_000)]);
    expect(await librarian.list('many')).toHaveLength(12);
    expect(await librarian.list('many-more')).toHaveLength(12);
    const last = await textOf(Volume.fromName('many', choice()).readFile('f11'));
    expect(last).toBe('11'.repeat(1_250_000));
  });

  it('use network file systems', async () => {
    await NetworkFileSystem.fromName('live', { ...choice(), createIfMissing: true }).writeFile('from-outside', 'hello');
    expect(await librarian.live('live')).toEqual(['hello', 'from-inside', 'from-outside', 'live']);
  });

  it('are told that secrets are not for them', async () => {
    const refusals = await librarian.refused();
    expect(refusals).toHaveLength(3);
    for (const said of refusals) expect(said).toMatch(/^PermissionDenied: secrets are set, listed and deleted/);
  });

  it('reach classes and functions by name and by handle', async () => {
    expect(await librarian.others('a')).toEqual([1, 2, 3, 8]);
  });

  isolatedTest('make sandboxes, and move files to them and back', async () => {
    expect(await librarian.sandboxed()).toEqual(['of a class3000000\n', 3_000_000, 'of a class']);
  });
});
