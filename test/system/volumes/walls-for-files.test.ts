import { App, type RemoteApp, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';

type WallsApp = typeof import('../../fixtures/files-app.js');

describe.runIf(canIsolate)('a worker that isolates no classes', () => {
  let cluster: TestCluster;
  let app: RemoteApp<WallsApp>;

  beforeAll(async () => {
    cluster = await startCluster({ mode: 'embedded', isolation: 'process' });
    await cluster.deploy(new URL('../../fixtures/files-app.ts', import.meta.url));
    app = await App.lookup<WallsApp>('files-test', { client: cluster.client });
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
  }, 120_000);

  it('gives walls to a class with volumes, whose files are committed, and to no other', async () => {
    const files = await app.Files.new();
    await files.write('/data/a', 'hello');
    expect(await files.hasNewPrivileges()).toBe(false);
    expect(await files.close()).not.toHaveProperty('error');
    const pieces: Uint8Array[] = [];
    for await (const piece of Volume.fromName('files', { client: cluster.client }).readFile('a')) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe('hello');
    await using plain = await app.Plain.new();
    expect(await plain.hasNewPrivileges()).toBe(true);
  });
});
