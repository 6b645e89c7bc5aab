import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLmdbStore } from '../../../src/adapters/embedded/lmdb-store.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { Store } from '../../../src/common/ports/store.js';
import type { VolumeMountReference } from '../../../src/common/volume-mounts.js';
import { HostDisks } from '../../../src/runtime/mounts/host-disks.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-disks-'));
  store = createLmdbStore({ path: join(folder, 'store'), clock: systemClock });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** Says what it is told to do, and lets an `unmount` of a volume's disk wait; nothing is mounted. */
async function launcher(): Promise<string> {
  const path = join(folder, 'launcher');
  await writeFile(
    path,
    `#!/bin/sh
case "$1 $2" in
  "unmount "*/disk-*) echo leaving >> ${folder}/log; until [ -e ${folder}/go ]; do sleep 0.05; done; echo left >> ${folder}/log;;
  "volume "*) mkdir -p "$3"; echo mounted >> ${folder}/log;;
esac
`,
  );
  await chmod(path, 0o755);
  return path;
}

const log = async () => (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n');

it('a volume of a host that is attached while its last user leaves is mounted after that, and stays', async () => {
  const parts = { store, account: 'acme', clock: systemClock, workerId: 'w1', folder: join(folder, 'disks') };
  const disks = new HostDisks({ ...parts, launcher: await launcher() });
  const whenMissing = { backend: 'vast_local', sizeGb: 0.02 };
  const reference = { volume: 'cache', whenMissing, mode: 'shared' } as unknown as VolumeMountReference;
  const attach = (name: string) => disks.attach(reference, { name, uid: 1_000 });
  const first = await attach('one');
  const leaving = first?.detach();
  await vi.waitUntil(async () => existsSync(join(folder, 'log')) && (await log()).includes('leaving'));
  const second = attach('two');
  await writeFile(join(folder, 'go'), '');
  await Promise.all([leaving, second]);
  expect(await log()).toEqual(['mounted', 'leaving', 'left', 'mounted']);
  await (await second)?.detach();
  await disks.close();
});
