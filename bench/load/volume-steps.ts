import { closeSync, openSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Latencies, type LoadSample } from './latencies.js';

export type VolumeStep =
  | 'mount-few'
  | 'mount-many'
  | 'read-cold'
  | 'read-cached'
  | 'write'
  | 'write-4k'
  | 'commit'
  | 'create'
  | 'stat'
  | 'unlink'
  | 'fan-out';

export interface VolumePlan {
  readonly step: VolumeStep;
  readonly times: number;
  /** Of a file or of a data set. */
  readonly bytes: number;
  /** In the volume that has many; or of sandboxes. */
  readonly count: number;
  readonly withinMs: number;
}

/** Something that is there until it is ended. */
export interface Place {
  readonly path: string;
  end(): Promise<void>;
}

/** Where files are, by whoever has some. What a method does before it resolves is not timed, but for what says so. */
export interface VolumePlaces {
  /** Makes what `mount` shows. */
  prepare(files: number): Promise<void>;
  /** Timed. A view of a folder with that many files in it; resolves with what ends it again. */
  mount(files: number): Promise<() => Promise<void>>;
  /** A file that nobody has read from there, on this host or through this view of it. */
  file(how: 'cold' | 'cached', bytes: number): Promise<Place>;
  /** To be written to. */
  emptyFolder(): Promise<Place>;
  /** The last one, with all that is in it, for somebody who has not looked into it. */
  sameFolder(): Promise<string>;
  /** Changes one chunk of a large file; resolves with what makes that last, which is timed. */
  change(): Promise<() => Promise<void>>;
  /** A new data set; resolves with the timed part: so many sandboxes begin, each reads all of it, and they end. */
  fanOut(bytes: number, sandboxes: number): Promise<() => Promise<void>>;
  /** Since the beginning, from where volumes are stored. */
  fetchedBytes(): Promise<number>;
}

const pieceBytes = 1_048_576;
const smallPieceBytes = 4_096;

/** The same step, one at a time; only what is meant to be is timed. */
export async function runVolumeStep(places: VolumePlaces, plan: VolumePlan): Promise<LoadSample> {
  const stopwatch = new Stopwatch();
  await steps[plan.step](places, plan, stopwatch);
  return stopwatch.sample();
}

class Stopwatch {
  readonly #latencies = new Latencies();
  #us = 0;

  async time<T>(work: () => Promise<T> | T): Promise<T> {
    const start = performance.now();
    const result = await work();
    const us = (performance.now() - start) * 1_000;
    this.#latencies.record(us);
    this.#us += us;
    return result;
  }

  sample(): LoadSample {
    return this.#latencies.sample(this.#us / 1e6);
  }
}

type Step = (places: VolumePlaces, plan: VolumePlan, stopwatch: Stopwatch) => Promise<void>;

const mounting: Step = async (places, { times, count }, stopwatch) => {
  await places.prepare(count);
  await repeat(times, async () => {
    const end = await stopwatch.time(() => places.mount(count));
    await end();
  });
};

const steps: Readonly<Record<VolumeStep, Step>> = {
  'mount-few': mounting,
  'mount-many': mounting,
  'read-cold': reading('cold'),
  'read-cached': reading('cached'),
  write: writing(pieceBytes),
  'write-4k': writing(smallPieceBytes),
  commit: (places, { times }, stopwatch) =>
    repeat(times, async () => void (await stopwatch.time(await places.change()))),
  create: async (places, { times }, stopwatch) => {
    const { path } = await places.emptyFolder();
    await eachName(path, times, (name) => stopwatch.time(() => closeSync(openSync(name, 'wx'))));
  },
  stat: async (places, { times }, stopwatch) => {
    await eachName(await places.sameFolder(), times, (name) => stopwatch.time(() => void statSync(name)));
  },
  unlink: async (places, { times }, stopwatch) => {
    await eachName(await places.sameFolder(), times, (name) => stopwatch.time(() => unlinkSync(name)));
  },
  'fan-out': (places, { times, bytes, count }, stopwatch) =>
    repeat(times, async () => stopwatch.time(await places.fanOut(bytes, count))),
};

function reading(how: 'cold' | 'cached'): Step {
  return (places, { times, bytes }, stopwatch) =>
    repeat(times, async () => {
      const { path, end } = await places.file(how, bytes);
      const got = await stopwatch.time(() => readWhole(path));
      await end();
      if (got !== bytes) throw new Error(`${path} has ${got} bytes instead of ${bytes}`);
    });
}

/** Until the file is closed: nothing is synced. */
function writing(length: number): Step {
  const piece = Buffer.alloc(length, 'holdfast');
  return (places, { times, bytes }, stopwatch) =>
    repeat(times, async () => {
      const { path, end } = await places.emptyFolder();
      await stopwatch.time(() => {
        const file = openSync(join(path, 'written'), 'w');
        for (let written = 0; written < bytes; written += length) writeSync(file, piece);
        closeSync(file);
      });
      await end();
    });
}

/** Waits while it reads: the files are served by another process. */
function readWhole(path: string): number {
  const file = openSync(path, 'r');
  const piece = Buffer.alloc(pieceBytes);
  let total = 0;
  for (let got = readSync(file, piece); got > 0; got = readSync(file, piece)) total += got;
  closeSync(file);
  return total;
}

async function repeat(times: number, work: () => Promise<void>): Promise<void> {
  for (let turn = 0; turn < times; turn += 1) await work();
}

async function eachName(folder: string, count: number, work: (path: string) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index += 1) await work(join(folder, `file-${index}`));
}
