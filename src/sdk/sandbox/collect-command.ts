import { HoldfastError } from '../../common/errors.js';
import { OutputCollector } from '../../common/output-collector.js';
import { type CommandAnswer, type CommandEvent, defaultMaxOutputBytes } from '../../common/sandbox-methods.js';

/** What a session makes of a command's output itself where its stdin travels with it. */
export async function collectCommand(
  events: AsyncIterable<CommandEvent>,
  maxOutputBytes = defaultMaxOutputBytes,
): Promise<CommandAnswer> {
  const output = { stdout: new OutputCollector(maxOutputBytes), stderr: new OutputCollector(maxOutputBytes) };
  let pid = 0;
  let end: Extract<CommandEvent, { type: 'exit' }> | null = null;
  for await (const event of events) {
    if (event.type === 'start') pid = event.pid;
    else if (event.type === 'exit') end = event;
    else output[event.type].add(event.bytes);
  }
  if (end === null) throw new HoldfastError('Internal', 'a command ended without an exit', { outcome: 'unknown' });
  const { stdout, stderr } = output;
  const { exitCode, signal, timedOut, durationMs } = end;
  return {
    pid,
    exitCode,
    signal,
    stdout: stdout.text(),
    stderr: stderr.text(),
    timedOut,
    truncated: stdout.isTruncated || stderr.isTruncated,
    durationMs,
  };
}
