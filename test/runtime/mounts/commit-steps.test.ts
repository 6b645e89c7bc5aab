import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VolumeRecord } from '../../../src/common/ports/volume-store.js';
import { untilAnswered } from '../../adapters/until-answered.js';
import { canIsolate } from '../../isolated-test.js';
import { type Files, shown } from '../../router/volumes/volume-world.js';
import { CommitSteps, type Strike } from './commit-steps.js';
import type { WorkerMount } from './mount-worker.js';
import { run } from './mount-world.js';

const ask = { message: 'mine', onConflict: 'last-writer-wins' } as const;
const answeredWithinMs = 60_000;
/** Each step of a commit is struck in turn, most with processes that start anew. */
const withinMs = 600_000;
/** So many that their directory is an object of its own. */
const many = Array.from({ length: 60 }, (_, i) => `d/file-${i}`);

/** What is struck in the middle of its commit. */
interface Struck {
  readonly mount: WorkerMount;
  readonly volume: VolumeRecord;
  /** What others commit while it is under way. */
  readonly late: Record<string, Buffer>;
}

describe.runIf(canIsolate)('a commit of a mount', { timeout: withinMs }, () => {
  let world: CommitSteps;
  beforeAll(async () => {
    world = await CommitSteps.start();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const answered = <T>(asked: () => Promise<T>): Promise<T> => untilAnswered(asked, answeredWithinMs);
  const filesOf = (volume: VolumeRecord): Promise<Record<string, string>> =>
    answered(async () => await world.volumes.files(await world.volumes.head(volume)));

  /** A commit to a volume into which another one has committed meanwhile, struck at one of its steps; whether it came so far. */
  async function commitStruck(at: number, strikeOf: (struck: Struck) => Strike): Promise<boolean> {
    const volume = await answered(() => world.volumes.volume());
    const lines = many.map((path) => [path, Buffer.from(`${path} of ${volume.name}`)] as const);
    const start: Files = { ...Object.fromEntries(lines), old: Buffer.from('old') };
    const { commit: base } = await answered(() => world.volumes.commit(volume, start));
    const mount = await answered(() => world.mount(volume));
    const writing = `rm -f old; yes ${volume.id} | head -c 100000 > d/big; echo mine > d/file-0; echo mine > new`;
    await run(mount.folder, writing);
    const theirs: Files = { 'd/file-1': Buffer.from('theirs'), other: randomBytes(70_000) };
    await answered(() => world.volumes.commit(volume, theirs, { base }));
    const big = Buffer.alloc(100_000, `${volume.id}\n`);
    const mine: Files = { 'd/big': big, 'd/file-0': Buffer.from('mine\n'), new: Buffer.from('mine\n'), old: null };
    const late: Record<string, Buffer> = {};

    let failed: unknown = null;
    const wasStruck = await world.struck(at, strikeOf({ mount, volume, late }), async () => {
      await mount.commit(ask).catch((error: unknown) => {
        failed = error;
      });
    });
    if (failed !== null) expect(failed).toMatchObject({ code: 'Unavailable', retryable: true });
    const others = { ...start, ...theirs, ...late };
    const [before, after] = [shown(others), shown({ ...others, ...mine })];
    const now = await filesOf(volume);
    expect(failed === null ? [after] : [before, after]).toContainEqual(now);
    await answered(() => world.volumes.sweep());

    const again = await retried(volume, mount, writing);
    expect(await filesOf(volume)).toEqual(after);
    await again.detach();
    await answered(() => world.volumes.store.volumes.delete(volume.account, volume.name, volume.id));
    return wasStruck;
  }

  /** Where its files were lost with a process, programs write them again. */
  async function retried(volume: VolumeRecord, mount: WorkerMount, writing: string): Promise<WorkerMount> {
    const seen = await run(mount.folder, 'cat d/file-0').catch(() => null);
    const used = seen === null ? await answered(() => world.mount(volume)) : mount;
    if (seen === null) await run(used.folder, writing);
    await answered(() => used.commit(ask));
    return used;
  }

  /** Until a commit ends before it comes to the step; how many steps it has. */
  async function eachStep(strikeOf: (struck: Struck) => Strike): Promise<string[]> {
    for (let at = 1; ; at++) if (!(await commitStruck(at, strikeOf))) return world.seen;
  }

  const kill = (pid: number): void => void process.kill(pid, 'SIGKILL');

  it('whose process of mounts is killed at any of its steps is there whole or not at all, and is made again', async () => {
    const steps = await eachStep(({ mount }) => () => {
      kill(mount.pid);
      return 'before';
    });
    expect(steps.length).toBeGreaterThan(12);
    expect(new Set(steps)).toEqual(new Set(['redis evalsha', 's3 HEAD', 's3 GET', 's3 PUT']));
  });

  it('whose worker is killed at any of its steps ends all the same, and can be made again', async () => {
    await eachStep(() => async () => {
      await world.killWorker();
      return null;
    });
  });

  it.each(['before', 'after'] as const)(
    'whose Redis is killed %s any of its steps is there whole or not at all, and is made again',
    async (cut) => {
      await eachStep(() => (to) => {
        if (to === 'redis' && cut === 'after') return 'after';
        world.killRedis();
        return to === 'redis' ? 'before' : null;
      });
    },
  );

  it.each(['before', 'after'] as const)(
    'whose object store is away %s any of its steps is there whole or not at all, and is made again',
    async (cut) => {
      await eachStep(() => (to) => {
        world.cutOffObjects();
        return to === 's3' ? cut : null;
      });
    },
  );

  it('into which another one commits at any of its steps loses no path of either', async () => {
    await eachStep(({ volume, late }) => async () => {
      Object.assign(late, { 'd/late': randomBytes(5_000), later: Buffer.from('later') });
      await answered(() => world.volumes.commit(volume, late));
      return null;
    });
  });
});
