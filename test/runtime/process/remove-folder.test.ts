import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect } from 'vitest';
import { isolatedTest } from '../../isolated-test.js';

const module = fileURLToPath(new URL('../../../dist/runtime/process/remove-folder.js', import.meta.url));
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-removed-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** In mounts of its own, which go with it; what it printed. */
async function inOwnMounts(script: string): Promise<string> {
  const remove = `node --input-type=module -e "
    import { removeFolder } from '${module}';
    await removeFolder(process.argv[1]).then(() => console.log('removed'), (e) => console.log(e.code, e.retryable, e.message));
  "`;
  const words = ['-m', '--propagation', 'private', '/bin/sh', '-euc', `remove() { ${remove} "$1"; }\n${script}`];
  return (await promisify(execFile)('/usr/bin/unshare', words, { cwd: folder })).stdout;
}

isolatedTest(
  'a folder below which something is mounted stays, with what is there, and says where that is',
  async () => {
    const said = await inOwnMounts(`
    mkdir -p others 'dead/a/with space' real/dead; echo kept > others/file; ln -s real link
    mount --bind others 'dead/a/with space'; remove dead; cat others/file
    mount --bind others real/dead; remove link/dead; cat others/file
    umount 'dead/a/with space'; mount -t tmpfs tmpfs dead/a; remove dead; umount dead/a
    umount real/dead; remove dead; remove link/dead; remove not-there; ls others real
    # Deeper than a path can say, and long before that a mount.
    mkdir -p dead/a/b/c/d/e/f/mounted; mount --bind others dead/a/b/c/d/e/f/mounted
    name=$(printf 'n%.0s' $(seq 250)); cd dead; for i in $(seq 17); do mkdir $name; cd -P $name; done; cd ${folder}
    remove dead; cat others/file; umount dead/a/b/c/d/e/f/mounted; remove dead; ls
  `);
    const stays = (path: string, mounted: string): string =>
      `Unavailable false ${path} stays, as files that are mounted at ${mounted} would be removed with it: unmount them, then remove it`;
    expect(said.trim().split('\n')).toEqual([
      ...[stays('dead', join(folder, 'dead/a/with space')), 'kept'],
      ...[stays('link/dead', join(folder, 'real/dead')), 'kept'],
      stays('dead', join(folder, 'dead/a')),
      ...['removed', 'removed', 'removed', 'others:', 'file', '', 'real:'],
      ...[stays('dead', join(folder, 'dead/a/b/c/d/e/f/mounted')), 'kept', 'removed', 'link', 'others', 'real'],
    ]);
  },
);
