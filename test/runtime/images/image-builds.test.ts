import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import { guestProgramPath } from '../../../src/cli/parts/guest-program.js';
import { isHoldfastError } from '../../../src/common/errors.js';
import type { BuildEvent } from '../../../src/common/image-build.js';
import { describeStep, type ImageRecipe } from '../../../src/common/image-recipe.js';
import { ImageStore } from '../../../src/common/images/image-store.js';
import { TimerWheel } from '../../../src/common/timer-wheel.js';
import { ImageBuilds } from '../../../src/runtime/images/image-builds.js';
import { Images } from '../../../src/runtime/images/images.js';
import { openGuest } from '../../../src/runtime/sandbox/guest/guest-client.js';
import { isolatedTest as test } from '../../isolated-test.js';
import { openBench } from '../isolation/harness.js';

const bench = await openBench();
const wheel = new TimerWheel(systemClock, 1_000);
const objects = createDiskObjectStore({ folder: join(bench.folder, 'objects') });
const agentPath = '/run/holdfast/agent';
let workers = 0;

/** As one worker of several that share an object store. */
function worker() {
  workers += 1;
  const store = new ImageStore({ objects, account: 'ann', clock: systemClock, random: systemRandom });
  const { backend } = bench;
  const folder = join(bench.folder, `layers${workers}`);
  const images = new Images({ backend, store, folder, maxBytes: 1e9, clock: systemClock });
  const host = {
    ...{ backend, random: systemRandom, openNetwork: () => Promise.resolve({}) },
    agent: { argv: [agentPath], binds: [{ source: guestProgramPath(), target: agentPath }] } as const,
    openGuest: (socket: Parameters<typeof openGuest>[0]) => openGuest(socket, wheel),
  };
  const builds = new ImageBuilds({ host, images, store, debianMirror: '' });
  return { store, images, builds };
}

const recipeOf = (...commands: string[]): ImageRecipe => ({
  base: { from: 'host' },
  steps: commands.map((command) => ({ do: 'run', command })),
});
/** No recipe here copies anything. */
const nothing = (sha256: string): AsyncIterable<Uint8Array> => {
  throw new Error(`nobody has ${sha256}`);
};

/** Tells what happens, when its first step has been joined, and when a line has been printed. */
function watch(line = '') {
  const stop = new AbortController();
  const events: BuildEvent[] = [];
  let printed = (): void => undefined;
  const seen = new Promise<void>((resolve) => {
    printed = resolve;
  });
  let joined = (): void => undefined;
  const waits = new Promise<void>((resolve) => {
    joined = resolve;
  });
  const onEvent = (event: BuildEvent): void => {
    events.push(event);
    if (event.type === 'step' && event.step === 1) joined();
    if (event.type === 'output' && event.text.includes(line)) printed();
  };
  return { events, seen, waits, onEvent, signal: stop.signal, stop: () => stop.abort(new Error('stopped')) };
}

/** Scratches and cgroups of builds. */
function leftOvers(): string[] {
  const scratch = readdirSync(bench.folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\/(b|pack)[^/]*\.img/.test(name),
  );
  const groups = bench.cgroups.parents
    .filter((parent) => existsSync(parent))
    .flatMap((parent) =>
      readdirSync(parent, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() && /^b[0-9a-f]/.test(entry.name) ? [entry.name] : [],
      ),
    );
  return [...scratch, ...groups];
}

test('a build that is stopped leaves nothing, and goes on for those who still wait', async () => {
  const { builds, images } = worker();
  const recipe = recipeOf('echo begun; while [ ! -e /srv/never ]; do sleep 0.05; done');
  const [one, two] = [watch('begun'), watch('begun')];
  const building = builds.build(recipe, nothing, one).catch((e: unknown) => e);
  await one.seen;
  const joined = builds.build(recipe, nothing, two).catch((e: unknown) => e);
  await two.waits;
  one.stop();
  expect(await building).toMatchObject({ message: 'stopped' });
  expect(leftOvers()).not.toEqual([]);
  two.stop();
  expect(await joined).toMatchObject({ message: 'stopped' });
  expect(leftOvers()).toEqual([]);
  await builds.close();
  await images.close();
});

test('another worker takes over from the last step that one has stored, who ended in the middle', async () => {
  const recipe = (last: string) => recipeOf('date +%N > /srv/at', last);
  const waiting = 'echo waiting; while [ ! -e /srv/never ]; do sleep 0.05; done';
  const [first, second] = [worker(), worker()];
  const dying = watch('waiting');
  const building = first.builds.build(recipe(waiting), nothing, dying).catch((e: unknown) => e);
  await dying.seen;
  await first.builds.close();
  await first.images.close();
  expect(isHoldfastError(await building, 'Unavailable')).toBe(true);
  expect(leftOvers()).toEqual([]);
  const taking = watch();
  const image = await second.builds.build(recipe('true'), nothing, taking);
  const steps = taking.events.flatMap((event) => (event.type === 'step' ? [event.cached] : []));
  expect(steps).toEqual([true, true, false]);
  expect((await second.store.image(image)).layers.length).toBeGreaterThan(0);
  await second.images.close();
});

test('a step has the rights of root over what is its own, and over nothing else', async () => {
  const { builds, store, images } = worker();
  const asRoot =
    'id -u; chown 7:7 /srv && mknod /srv/disk b 8 0; ls /srv; mkdir -m 000 /srv/shut && touch /srv/shut/in && echo in';
  const beyond = 'mount -t tmpfs none /mnt 2>&1; unshare -r true 2>&1; cat /proc/1/status | grep -c NoNewPrivs.*1';
  const own = watch();
  const image = await builds.build(recipeOf(asRoot, `${beyond}; true`), nothing, own);
  const printed = own.events.map((event) => (event.type === 'output' ? event.text : '')).join('');
  expect(printed).toMatch(/^0\nin\n/);
  expect(printed).toMatch(/permission denied|not permitted|must be superuser/i);
  expect((await store.image(image)).layers).toHaveLength(2);
  expect(describeStep({ do: 'env', values: { TOKEN: 'secret' } })).not.toContain('secret');
  await builds.close();
  await images.close();
});
