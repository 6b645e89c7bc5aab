import { AwakeCores } from './processes/cores.js';
import type { Bench, Settings } from './scenarios/scenario.js';

/**
 * Does the work of a benchmark while the cores are kept awake. The first Ctrl-C ends it in order, a second one at once.
 * Resolves with false where it was interrupted.
 */
export async function runBench(settings: Settings, work: (bench: Bench) => Promise<void>): Promise<boolean> {
  const interrupted = new AbortController();
  const { signal } = interrupted;
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
  const say = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`  ${text}\n`);
  };
  await using cores = new AwakeCores();
  if (!cores.keepAwake()) {
    console.error('Without taskset and chrt of util-linux cores may sleep: figures of few callers depend on chance.');
  }
  try {
    await work({ settings, signal, cores, say });
    return true;
  } catch (error) {
    if (!signal.aborted) throw error;
    console.error('interrupted');
    process.exitCode = 130;
    return false;
  }
}
