import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type LoadSample, timed } from './latencies.js';

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
  /** Into one that lives. */
  upload(path: string): Promise<void>;
  /** What was uploaded last. */
  download(path: string): Promise<void>;
}

const pieceBytes = 1_048_576;

/** The same step, one at a time. What it leaves is ended outside of what is timed. */
export async function runSandboxSteps(steps: SandboxSteps, plan: SandboxPlan): Promise<LoadSample> {
  const { sandbox, step, times, pauseMs, bytes } = plan;
  const path = join(tmpdir(), `holdfast-bench-${process.pid}`);
  if (bytes > 0) await writeFile(path, pieces(bytes));
  const acts = {
    create: () => steps.create(sandbox),
    exec: () => steps.exec(),
    upload: () => steps.upload(path),
    download: () => steps.download(`${path}.down`),
  };
  try {
    return await timed(async (latencies) => {
      for (let turn = 0; turn < times; turn += 1) {
        if (pauseMs > 0) await delay(pauseMs);
        const start = performance.now();
        const end = await acts[step]();
        latencies.record((performance.now() - start) * 1_000);
        await end?.();
      }
    });
  } finally {
    await rm(path, { force: true });
    await rm(`${path}.down`, { force: true });
  }
}

function* pieces(bytes: number): Generator<Buffer> {
  const piece = Buffer.alloc(pieceBytes, 'holdfast');
  for (let left = bytes; left > 0; left -= pieceBytes) yield piece.subarray(0, Math.min(left, pieceBytes));
}
