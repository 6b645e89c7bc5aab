import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { pythonTest } from '../../isolated-test.js';
import { MountWorld, run } from './mount-world.js';

const ask = { message: '', onConflict: 'last-writer-wins' } as const;
const suite = readFileSync(new URL('../../fixtures/posix.py', import.meta.url), 'utf8');
/** All that is in a folder, as far as a volume keeps it. */
const listing = `find . -printf '%p %y %m %s %T@ %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 md5sum`;

pythonTest(
  'a mount does what POSIX says of files, for root and for the user of a mount, and all of it outlives a commit',
  async () => {
    await using world = await MountWorld.start();
    for (const uid of [0, 70_001]) {
      const volume = await world.volumes.volume();
      const mount = await world.mount(volume, { uid });
      const said = await run(mount.folder, 'python3 -c "$SUITE"', { uid, env: { SUITE: suite } });
      const lines = said.trim().split('\n');
      expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([]);
      expect(lines.length).toBeGreaterThan(50);
      await mount.commit(ask);
      const next = await world.mount(volume, { uid });
      expect(await run(next.folder, listing)).toBe(await run(mount.folder, listing));
    }
  },
);
