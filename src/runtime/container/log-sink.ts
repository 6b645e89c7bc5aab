import type { Logger } from '../../common/context.js';
import { plainFields } from '../../common/log-fields.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import type { FrameStream } from '../../wire/frames/frame-stream.js';
import { FrameKind, type LogBody } from '../../wire/frames/frames.js';

const longestMessage = 8_192;

type Level = LogBody['level'];

/** Where a line comes from; read when the line is written. */
export interface LogOrigin {
  readonly slot: number;
  readonly callId: string | null;
}

/** `context.log` of all instances of the container, as Log frames. A worker that does not keep up costs lines, never memory. */
export class LogSink {
  readonly #stream: FrameStream;
  #dropped = 0;

  constructor(stream: FrameStream) {
    this.#stream = stream;
  }

  logger(origin: LogOrigin): Logger {
    const line = (level: Level) => (message: string, fields?: object) => this.write(origin, { level, message, fields });
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }

  write(
    origin: LogOrigin,
    line: { readonly level: Level; readonly message: string; readonly fields?: object | undefined },
  ): void {
    if (this.#stream.isBlocked) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped > 0) this.#tellDropped();
    this.#send(origin.slot, {
      level: line.level,
      message: bounded(String(line.message)),
      ...(line.fields === undefined ? {} : { fields: plainFields(line.fields) }),
      ...(origin.callId === null ? {} : { callId: origin.callId }),
    });
  }

  #tellDropped(): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#send(0, {
      level: 'warn',
      message: `${dropped} log lines were dropped: they came faster than the worker takes them`,
    });
  }

  #send(slot: number, body: LogBody): void {
    this.#stream.writer.frame(FrameKind.Log, 0, slot, encodeBody(body));
    this.#stream.flushSoon();
  }
}

function bounded(text: string): string {
  return text.length <= longestMessage ? text : `${text.slice(0, longestMessage)}… (${text.length} characters)`;
}
