import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type LoadSample, timed } from './latencies.js';
import { type NamelessFile, namelessFile } from './nameless-file.js';

export type SandboxStep = 'create' | 'exec' | 'upload' | 'download';

export interface SandboxPlan {
  /** For those who have several kinds. */
  readonly sandbox: string;
  readonly step: SandboxStep;
  readonly times: number;
  /** Before each. */
  readonly pauseMs: number;
  /** Of a file; 0: none is needed. */
  readonly bytes: number;
}

/** One that lives. */
export interface IdleSession {
  exec(): Promise<void>;
  end(): Promise<void>;
}

/** What can be done with sandboxes, by whoever has some. */
export interface SandboxSteps {
  /** A new one, with its first command; resolves with what ends it again. */
  create(sandbox: string): Promise<() => Promise<void>>;
  /** A new one, in which nothing runs. */
  open(): Promise<IdleSession>;
  /** A command in one that lives. */
  exec(): Promise<void>;
  /** Into one that lives, as a file that is new there; resolves with what removes the one before it. */
  upload(path: string): Promise<() => Promise<void>>;
  /** What was uploaded last. */
  download(path: string): Promise<void>;
}

const pieceBytes = 1_048_576;
const run = promisify(execFile);

let kept: Promise<NamelessFile> | null = null;

/** The same step, one at a time. What it leaves is ended outside of what is timed. */
export async function runSandboxSteps(steps: SandboxSteps, plan: SandboxPlan): Promise<LoadSample> {
  if (plan.bytes > 0) return await moveFile(steps, plan);
  const { sandbox, step, times, pauseMs } = plan;
  return await timed(async (latencies) => {
    for (let turn = 0; turn < times; turn += 1) {
      if (pauseMs > 0) await delay(pauseMs);
      const start = performance.now();
      const end = step === 'create' ? await steps.create(sandbox) : await steps.exec();
      latencies.record((performance.now() - start) * 1_000);
      await end?.();
    }
  });
}

/** Once, between files that nobody has written to yet. */
async function moveFile(steps: SandboxSteps, { step, bytes }: SandboxPlan): Promise<LoadSample> {
  kept ??= filled(bytes);
  const [source, target] = [await kept, await namelessFile()];
  // What was written before, by whomever, is not to be written to the disk while this is timed.
  await run('sync');
  const ends = [() => target.file.close()];
  const sample = await timed(async (latencies) => {
    const start = performance.now();
    if (step === 'upload') ends.push(await steps.upload(source.path));
    else await steps.download(target.path);
    latencies.record((performance.now() - start) * 1_000);
  });
  for (const end of ends) await end();
  return sample;
}

async function filled(bytes: number): Promise<NamelessFile> {
  const made = await namelessFile();
  for (const piece of pieces(bytes)) await made.file.write(piece);
  return made;
}

function* pieces(bytes: number): Generator<Buffer> {
  const piece = Buffer.alloc(pieceBytes, 'holdfast');
  for (let left = bytes; left > 0; left -= pieceBytes) yield piece.subarray(0, Math.min(left, pieceBytes));
}
