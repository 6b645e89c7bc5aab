import { constants } from 'node:os';
import { HoldfastError } from '../../../common/errors.js';
import type { GuestCommand, GuestExit, GuestOutputListener, GuestProcess } from '../../../common/ports/guest.js';
import { callGuest, readNothing } from './guest-call.js';
import { guestBroke, guestError } from './guest-errors.js';
import {
  GuestAnswer,
  type GuestField,
  GuestFlag,
  GuestRequest,
  guestMaxFrameBytes,
  guestMaxTexts,
} from './guest-frames.js';
import { GuestCredit } from './guest-inflow.js';
import type { GuestLink } from './guest-link.js';
import { GuestSender } from './guest-sender.js';
import { encodePath, encodeText } from './guest-text.js';

const defaultOutputCreditBytes = 262_144;
/** What a Spawn has besides its texts, generously. */
const headroomBytes = 256;
const maxTerminalSize = 65_535;
/** Of a terminal: what a person types for it, VEOF of termios(3). */
const endOfFile = Uint8Array.of(4);

/** Runs a program. @throws as `Guest.spawn` says */
export function spawnInGuest(
  link: GuestLink,
  command: GuestCommand,
  onOutput: GuestOutputListener,
): Promise<GuestProcess & { readonly ref: number }> {
  return new Promise((resolve, reject) => {
    const process = new SpawnedProcess(link, command, { onOutput, resolve, reject });
    process.start();
  });
}

interface Starter {
  readonly onOutput: GuestOutputListener;
  resolve(process: SpawnedProcess): void;
  reject(error: HoldfastError): void;
}

class SpawnedProcess implements GuestProcess {
  readonly exited: Promise<GuestExit>;
  ref = 0;
  pid = 0;
  readonly #link: GuestLink;
  readonly #command: GuestCommand;
  readonly #starter: Starter;
  #credit: GuestCredit | null = null;
  #sender: GuestSender | null = null;
  readonly #discarded = new Set<'stdout' | 'stderr'>();
  #offset = 0;
  #isOver = false;
  #settle: { resolve(exit: GuestExit): void; reject(error: HoldfastError): void } | null = null;

  constructor(link: GuestLink, command: GuestCommand, starter: Starter) {
    this.#link = link;
    this.#command = command;
    this.#starter = starter;
    this.exited = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Who does not ask how it ended need not handle that its sandbox did.
    this.exited.catch(() => undefined);
  }

  start(): void {
    const creditBytes = this.#command.outputCreditBytes ?? defaultOutputCreditBytes;
    this.ref = this.#link.request(GuestRequest.Spawn, spawnFields(this.#command, creditBytes), {
      onFrame: (kind, body) => this.#onFrame(kind, body),
      onData: (kind, bytes) => this.#onData(kind, bytes),
      onLost: (error) => this.#fail(error),
    });
    this.#credit = new GuestCredit(this.#link, this.ref, creditBytes);
    this.#sender = new GuestSender(this.#link, this.ref);
  }

  acknowledge(bytes: number): void {
    if (!this.#isOver) this.#credit?.taken(bytes);
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#sender?.write(bytes);
  }

  closeStdin(): void {
    if (this.#command.pty === undefined) this.#sender?.end();
    // It fails with the process only, which `exited` tells.
    else this.#sender?.write(endOfFile).catch(() => undefined);
  }

  discard(stream: 'stdout' | 'stderr'): void {
    if (this.#isOver || this.#discarded.has(stream)) return;
    this.#discarded.add(stream);
    this.#link.send(GuestRequest.Discard, this.ref, [[1, GuestFlag.discard[stream]]]);
  }

  resize(cols: number, rows: number): void {
    if (this.#isOver) return;
    this.#link.send(GuestRequest.Resize, this.ref, [
      [2, terminalSize('cols', cols)],
      [2, terminalSize('rows', rows)],
    ]);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const number = constants.signals[signal];
    if (number === undefined) throw new HoldfastError('InvalidArgument', `there is no signal ${String(signal)}`);
    await callGuest(this.#link, {
      kind: GuestRequest.Kill,
      fields: [
        [4, this.ref],
        [1, number],
      ],
      attempt: { verb: 'kill', path: `process ${this.pid}` },
      read: readNothing,
    });
  }

  #onFrame(kind: GuestAnswer, body: Buffer): void {
    if (kind === GuestAnswer.Credit && this.#sender !== null) return this.#sender.onCredit(body);
    if (this.pid === 0) return this.#onStarted(kind, body);
    if (kind !== GuestAnswer.Exit || body.length !== 2) throw guestBroke(`a ${kind} while a command runs`);
    this.#over(null);
    this.#settle?.resolve(exitOf(body));
  }

  #onStarted(kind: GuestAnswer, body: Buffer): void {
    const path = this.#command.argv[0] ?? '';
    if (kind === GuestAnswer.Error) return this.#fail(guestError({ verb: 'run', path, cwd: this.#command.cwd }, body));
    if (kind !== GuestAnswer.Ok || body.length !== 4) throw guestBroke(`a ${kind} while a command starts`);
    this.pid = body.readUInt32LE(0);
    if (this.pid === 0) throw guestBroke('process 0');
    this.#starter.resolve(this);
  }

  #onData(kind: GuestAnswer, bytes: Buffer): void {
    if (this.pid === 0) throw guestBroke('output before its process');
    const offset = this.#offset;
    this.#offset += bytes.length;
    this.#starter.onOutput(kind === GuestAnswer.Data ? 'stdout' : 'stderr', bytes, offset);
  }

  #fail(error: HoldfastError): void {
    this.#over(error);
    this.#starter.reject(error);
    this.#settle?.reject(error);
  }

  #over(error: HoldfastError | null): void {
    this.#isOver = true;
    this.#link.release(this.ref);
    this.#sender?.stop(error);
  }
}

function spawnFields(command: GuestCommand, creditBytes: number): GuestField[] {
  const { argv, cwd, env, stdin = false, pty } = command;
  if (argv.length === 0 || argv[0] === '') throw new HoldfastError('InvalidArgument', 'a command needs a program');
  const texts = argv.map((argument) => encodeText(argument, `an argument of ${argv[0]}`));
  const environment = Object.entries(env).map(([name, value]) => encodeVariable(name, value));
  const bytes = [...texts, ...environment].reduce((sum, text) => sum + text.length + 1, headroomBytes + cwd.length * 3);
  if (bytes > guestMaxFrameBytes || texts.length + environment.length > guestMaxTexts) {
    const why = `the arguments and environment of ${argv[0]} are too long: ${bytes} bytes, at most ${guestMaxFrameBytes} go`;
    throw new HoldfastError('PayloadTooLarge', why);
  }
  return [
    [4, creditBytes],
    [1, (stdin ? GuestFlag.spawnStdin : 0) | (pty === undefined ? 0 : GuestFlag.spawnPty)],
    [2, terminalSize('cols', pty?.cols ?? 0)],
    [2, terminalSize('rows', pty?.rows ?? 0)],
    [4, texts.length],
    ...[encodePath(cwd), ...texts, ...environment].map((text) => ({ text })),
  ];
}

function encodeVariable(name: string, value: string): Buffer {
  if (name === '' || name.includes('=')) {
    throw new HoldfastError('InvalidArgument', `an environment variable cannot be named ${JSON.stringify(name)}`);
  }
  return encodeText(`${name}=${value}`, `the environment variable ${name}`);
}

function terminalSize(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= maxTerminalSize) return value;
  throw new HoldfastError('InvalidArgument', `${name} of a terminal is ${value}, it must be 0 to ${maxTerminalSize}`);
}

/** u8 whether a signal ended it | u8 which, or the exit code. */
function exitOf(body: Buffer): GuestExit {
  const number = body[1] as number;
  if (body[0] === 0) return { exitCode: number, signal: null };
  const name = Object.entries(constants.signals).find(([, each]) => each === number)?.[0];
  return { exitCode: null, signal: name ?? `SIG${number}` };
}
