import type { Clock } from '../common/clock.js';
import type { WorkerId } from '../common/ids.js';
import type { Bus } from '../common/ports/bus.js';
import { decodeBody } from '../wire/frames/frame-bodies.js';
import { LogLine, type LogsRequest } from '../wire/gen/holdfast/v1/router.js';
import { logSubject } from '../wire/subjects.js';
import { publishHint } from './hints.js';
import type { LogOrigin } from './hosting/container-events.js';
import type { LogGate } from './log-gate.js';

const keptLines = 1_000;
const longestMessage = 8_192;
/** Of what is a word of ours in an honest line. */
const longestWord = 256;
const longestAnswer = 524_288;

/** What instances of this worker said: published as it comes, the last lines kept for those who ask later. */
export class LogBook {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #account: string;
  readonly #workerId: WorkerId;
  readonly #lines: LogLine[] = [];

  constructor(deps: {
    readonly bus: Bus;
    readonly clock: Clock;
    readonly account: string;
    readonly workerId: WorkerId;
  }) {
    this.#bus = deps.bus;
    this.#clock = deps.clock;
    this.#account = deps.account;
    this.#workerId = deps.workerId;
  }

  /**
   * @param body msgpack `LogBody` from a container: hostile, so every field is checked
   * @param gate of that container
   * @throws InvalidArgument where it is no MessagePack
   */
  write(origin: LogOrigin, body: Uint8Array, gate: LogGate): void {
    if (!gate.admit(body.length)) return;
    const dropped = gate.takeDropped();
    if (dropped > 0)
      this.#add(origin, { level: 'warn', message: `${dropped} log lines were dropped: they came too fast` });
    this.#add(origin, decodeBody(body));
  }

  /** What the worker itself has to say of an instance. */
  note(origin: LogOrigin, message: string): void {
    this.#add(origin, { level: 'error', message, source: 'worker' });
  }

  tail(request: LogsRequest): LogLine[] {
    const fits = (wanted: string, is: string) => wanted === '' || wanted === is;
    const lines = this.#lines.filter(
      (line) => fits(request.app, line.app) && fits(request.className, line.className) && fits(request.id, line.id),
    );
    return fitting(lines.slice(-(request.tail || 100)));
  }

  #add(origin: LogOrigin, said: Readonly<Record<string, unknown>>): void {
    if (typeof said['message'] !== 'string') return;
    const line: LogLine = {
      atMs: this.#clock.now(),
      app: origin.app,
      className: origin.className,
      id: origin.instance?.id ?? '',
      workerId: this.#workerId,
      level: word(said['level'], 'info'),
      message: said['message'].slice(0, longestMessage),
      fieldsJson: fieldsJson(said['fields']),
      callId: word(said['callId'], ''),
      source: word(said['source'], 'log'),
    };
    this.#lines.push(line);
    if (this.#lines.length > keptLines) this.#lines.shift();
    // Nobody listens to a container that has no app yet.
    if (line.app === '') return;
    publishHint(
      this.#bus,
      () => logSubject(this.#account, line.app),
      () => LogLine.encode(line).finish(),
    );
  }
}

function word(said: unknown, otherwise: string): string {
  return typeof said === 'string' ? said.slice(0, longestWord) : otherwise;
}

/** The newest lines that fit into one answer on the bus. */
function fitting(lines: readonly LogLine[]): LogLine[] {
  let bytes = 0;
  const first = lines.findLastIndex((line) => {
    bytes += LogLine.encode(line).finish().length;
    return bytes > longestAnswer;
  });
  return lines.slice(first + 1);
}

function fieldsJson(fields: unknown): string {
  if (typeof fields !== 'object' || fields === null) return '';
  return JSON.stringify(fields, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)).slice(
    0,
    longestMessage,
  );
}
