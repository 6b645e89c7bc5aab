import { StringDecoder } from 'node:string_decoder';
import { HoldfastError } from '../../common/errors.js';
import type { BuildEvent } from '../../common/image-build.js';
import type { Guest, GuestProcess } from '../../common/ports/guest.js';

/** A program of a step. */
export interface BuildCommand {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Its standard input; absent: closed. */
  readonly input?: AsyncIterable<Uint8Array>;
}

/** Of its output, for the error. */
const keptChars = 8_192;

/** Runs a program of a step to its end. @throws CommandFailed with the end of what it printed, FileNotFound, the signal's reason */
export async function runBuildCommand(
  guest: Guest,
  { argv, cwd, env, input }: BuildCommand,
  on: { readonly onEvent: (event: BuildEvent) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { signal, onEvent } = on;
  signal.throwIfAborted();
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  let printed = '';
  let early = 0;
  let process: GuestProcess | null = null;
  process = await guest.spawn({ argv, cwd, env, stdin: input !== undefined }, (stream, bytes) => {
    const text = decoders[stream].write(Buffer.from(bytes));
    printed = (printed + text).slice(-keptChars);
    onEvent({ type: 'output', text });
    // It can print before its number is known.
    if (process === null) early += bytes.length;
    else process.acknowledge(bytes.length);
  });
  if (early > 0) process.acknowledge(early);
  const kill = (): void => void process.kill('SIGKILL').catch(() => undefined); // its sandbox is gone, and so is it
  signal.addEventListener('abort', kill, { once: true });
  if (signal.aborted) kill();
  try {
    const fed = input === undefined ? Promise.resolve() : feed(process, input, signal);
    // What it is fed with may end it too: that error says more.
    const { exitCode, signal: killedBy } = await Promise.race([process.exited, fed.then(() => process.exited)]);
    signal.throwIfAborted();
    if (exitCode === 0) return await fed;
    throw failed({ exitCode, signal: killedBy, output: printed.trimEnd() });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

async function feed(process: GuestProcess, input: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  for await (const bytes of input) {
    signal.throwIfAborted();
    await process.write(bytes);
  }
  process.closeStdin();
}

function failed(details: {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly output: string;
}): HoldfastError {
  const { exitCode, signal, output } = details;
  const last = output.split('\n').slice(-12).join('\n');
  return new HoldfastError('CommandFailed', `it ended with ${signal ?? exitCode}: ${last || 'it printed nothing'}`, {
    outcome: 'ran',
    details,
  });
}
