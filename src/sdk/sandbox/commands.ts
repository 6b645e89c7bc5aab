import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { type Check, expected } from '../../common/option-checks.js';
import type { CommandAnswer, CommandEvent, CommandSpec } from '../../common/sandbox-methods.js';
import { envText, pathProblem } from '../../common/session-options.js';
import { splitCommand } from '../../common/split-command.js';
import { bytesOf } from './bytes.js';
import { collectCommand } from './collect-command.js';
import { feedStdin } from './feed-stdin.js';
import type { SessionCalls } from './session-calls.js';
import { textEvents } from './text-events.js';
import type { ExecOptions, SandboxExecResult, SandboxStreamEvent, SpawnOptions } from './types.js';

/** Up to here stdin travels with the command. */
const inlineStdinBytes = 1_048_576;

/** What a terminal's size must be, or null where it is that. */
export const terminalSize: Check = (value) => {
  const { cols, rows } = (value ?? {}) as { cols?: unknown; rows?: unknown };
  const isFine = (side: unknown): boolean =>
    Number.isInteger(side) && (side as number) > 0 && (side as number) < 65_536;
  return isFine(cols) && isFine(rows) ? null : '{ cols, rows }, whole numbers from 1 to 65535';
};

const execChecks: Readonly<Record<keyof ExecOptions, Check>> = {
  shell: expected.boolean,
  cwd: pathProblem,
  env: (value) => (typeof value === 'object' && value !== null ? null : 'an object'),
  timeoutMs: expected.above(0),
  signal: (value) => (value instanceof AbortSignal ? null : 'an AbortSignal'),
  stdin: (value) => (isStdin(value) ? null : 'a string, bytes or an async iterable of bytes'),
  check: expected.boolean,
  maxOutputBytes: expected.integer(0, 1_073_741_824),
};

const spawnChecks: Readonly<Record<keyof SpawnOptions, Check>> = { ...execChecks, pty: terminalSize };

/** A command as its caller gave it, and as it travels. */
interface Prepared {
  readonly spec: CommandSpec;
  /** Too much to travel with it, or not known yet. */
  readonly stdin: AsyncIterable<Uint8Array> | null;
}

/** @throws InvalidArgument, FileNotFound, CommandFailed where `check` asks for it, and every code of a call */
export async function exec(
  calls: SessionCalls,
  command: string | readonly string[],
  options: ExecOptions = {},
): Promise<SandboxExecResult> {
  const { spec, stdin } = prepare(calls.label, { command, options, checks: execChecks });
  const { signal } = options;
  const answer =
    stdin === null
      ? await calls.call<CommandAnswer>('exec', [spec], { signal })
      : await collectCommand(streamed(calls, { spec, stdin }, signal), spec.maxOutputBytes);
  const result = resultOf(spec.argv, answer);
  if (options.check) refuseFailure(calls.label, result);
  return result;
}

/** The command starts when its events are first asked for; leaving the loop kills it. */
export async function* execStream(
  calls: SessionCalls,
  command: string | readonly string[],
  options: ExecOptions = {},
): AsyncGenerator<SandboxStreamEvent, void, undefined> {
  const prepared = prepare(calls.label, { command, options, checks: execChecks });
  let end: Extract<SandboxStreamEvent, { type: 'exit' }> | null = null;
  for await (const event of textEvents(streamed(calls, prepared, options.signal))) {
    if (event.type === 'exit') end = event;
    yield event;
  }
  if (options.check && end !== null) refuseFailure(calls.label, { command: prepared.spec.argv, ...end });
}

/** Starts a process that outlives its caller; its pid. */
export async function spawn(
  calls: SessionCalls,
  command: string | readonly string[],
  options: SpawnOptions = {},
): Promise<{ readonly pid: number; readonly argv: readonly string[] }> {
  const { spec, stdin } = prepare(calls.label, { command, options, checks: spawnChecks });
  const { signal, pty } = options;
  const { pid } = await calls.call<{ pid: number }>('spawn', [pty === undefined ? spec : { ...spec, pty }], { signal });
  if (stdin !== null) {
    // What it does not read, because it has ended say, is nobody's loss.
    feedStdin(calls, { pid, source: stdin }).catch(() => undefined);
  }
  return { pid, argv: spec.argv };
}

export function resultOf(command: readonly string[], answer: CommandAnswer): SandboxExecResult {
  return { command, ...answer };
}

/** The events of a command whose stdin comes in pieces, if it has any. */
async function* streamed(
  calls: SessionCalls,
  { spec, stdin }: Prepared,
  signal: AbortSignal | undefined,
): AsyncGenerator<CommandEvent, void, undefined> {
  const feeding = new AbortController();
  let failure: { readonly error: unknown } | null = null;
  let feed: Promise<void> | null = null;
  try {
    for await (const event of calls.stream<CommandEvent>('execStream', [spec], { signal })) {
      if (event.type === 'start' && stdin !== null) {
        feed = feedStdin(calls, { pid: event.pid, source: stdin }, feeding.signal).catch((error: unknown) => {
          failure = { error };
        });
      }
      yield event;
    }
  } finally {
    feeding.abort();
    await feed;
  }
  // What its source threw; a command that ended without reading all of it is none.
  if (failure !== null) throw (failure as { error: unknown }).error;
}

function prepare(
  label: string,
  given: {
    readonly command: string | readonly string[];
    readonly options: SpawnOptions;
    readonly checks: Readonly<Record<string, Check>>;
  },
): Prepared {
  const { options } = given;
  checkOptions(`a command of ${label}`, options, given.checks);
  const argv = argvOf(given.command, options.shell ?? false);
  const { cwd, env, timeoutMs, maxOutputBytes, stdin } = options;
  const text = env === undefined ? undefined : envText(`a command of ${label}`, env);
  const whole = stdin === undefined || isStream(stdin) ? undefined : bytesOf(stdin);
  const isInline = whole !== undefined && whole.length <= inlineStdinBytes;
  const spec: CommandSpec = {
    argv,
    ...(cwd === undefined ? {} : { cwd }),
    ...(text === undefined ? {} : { env: text }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }),
    ...(stdin === undefined ? {} : { stdin: isInline ? whole : ('open' as const) }),
  };
  if (stdin === undefined || isInline) return { spec, stdin: null };
  return { spec, stdin: isStream(stdin) ? pieces(stdin) : pieces([whole as Uint8Array]) };
}

async function* pieces(source: AsyncIterable<unknown> | Iterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const piece of source) yield bytesOf(piece);
}

function argvOf(command: unknown, shell: boolean): readonly string[] {
  if (typeof command === 'string') {
    if (!command.includes('\0')) return shell ? ['/bin/sh', '-c', command] : splitCommand(command);
  } else if (Array.isArray(command) && command.length > 0 && command.every(isArgument)) {
    if (!shell) return [...command];
    throw new HoldfastError('InvalidArgument', 'with `shell` a command must be one string, got a list of words');
  }
  throw new HoldfastError('InvalidArgument', 'a command must be a string, or a list of strings, without NUL');
}

function isArgument(word: unknown): boolean {
  return typeof word === 'string' && !word.includes('\0');
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

function isStdin(value: unknown): boolean {
  return typeof value === 'string' || value instanceof Uint8Array || value instanceof ArrayBuffer || isStream(value);
}

type Ending = Pick<SandboxExecResult, 'command' | 'exitCode' | 'signal' | 'timedOut'>;

function refuseFailure(label: string, result: Ending): void {
  const { command, exitCode, signal, timedOut } = result;
  if (exitCode === 0) return;
  const how = timedOut ? 'ran out of its time' : signal === null ? `ended with code ${exitCode}` : `died of ${signal}`;
  const message = `a command of ${label}, ${JSON.stringify(command[0])}, ${how}; its output is in \`details\``;
  throw new HoldfastError('CommandFailed', message, { outcome: 'ran', details: { ...result } });
}
