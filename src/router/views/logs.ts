import type { Logger } from '../../common/context.js';
import type { Bus } from '../../common/ports/bus.js';
import { LogLine, type LogsRequest } from '../../wire/gen/holdfast/v1/router.js';
import { allLogsSubject, logSubject } from '../../wire/subjects.js';
import { askWorker } from '../placement/worker-control.js';
import type { KnownWorker, Workers } from '../placement/workers.js';
import type { Principal } from '../service/request.js';
import { LogQueue } from './log-queue.js';

const defaultTail = 100;
const maxTail = 1_000;
const tailWithinMs = 2_000;

export interface LogParts {
  readonly bus: Bus;
  readonly log: Logger;
  readonly workers: Workers;
}

/**
 * What instances said, oldest first: the last lines that the workers keep, then, with `follow`, new ones as they come until
 * the signal. A reader that is too slow loses the oldest lines and is told how many.
 */
export async function* readLogs(
  parts: LogParts,
  ask: LogsRequest,
  reader: Principal & { readonly signal: AbortSignal },
): AsyncIterable<LogLine> {
  const { signal, account } = reader;
  const queue = new LogQueue();
  const subject = ask.app === '' ? allLogsSubject(account) : logSubject(account, ask.app);
  // Before the tails are asked for: no line falls between them.
  const following = ask.follow
    ? parts.bus.subscribe(subject, ({ payload }) => hear({ ...parts, queue, ask }, payload))
    : null;
  try {
    const told = new Set<string>();
    for (const line of await tails(parts, ask, reader)) {
      told.add(fingerprint(line));
      yield line;
    }
    if (!ask.follow) return;
    for (const line of queue.takeAll()) if (!told.has(fingerprint(line))) yield line;
    while (!signal.aborted) {
      await queue.filled(signal);
      yield* queue.takeAll();
    }
  } finally {
    following?.unsubscribe();
  }
}

function hear(by: LogParts & { queue: LogQueue; ask: LogsRequest }, payload: Uint8Array): void {
  const { log, queue, ask } = by;
  try {
    const line = LogLine.decode(payload);
    if (fits(ask, line)) queue.add(line);
  } catch (error) {
    log.warn('log-line.malformed', { bytes: payload.length, error: String(error) });
  }
}

function fits({ app, className, id }: LogsRequest, line: LogLine): boolean {
  return (
    (app === '' || app === line.app) &&
    (className === '' || className === line.className) &&
    (id === '' || id === line.id)
  );
}

async function tails(
  parts: LogParts,
  ask: LogsRequest,
  reader: Principal & { readonly signal: AbortSignal },
): Promise<LogLine[]> {
  const tail = ask.tail > 0 ? Math.min(ask.tail, maxTail) : defaultTail;
  const op = { $case: 'tailLogs' as const, value: { request: { ...ask, follow: false, tail } } };
  const tailOf = async ({ account, workerId, bootId }: KnownWorker): Promise<LogLine[]> => {
    try {
      const to = { account, workerId, bootId };
      return (await askWorker(parts.bus, to, { op, timeoutMs: tailWithinMs, signal: reader.signal })).lines;
    } catch (error) {
      reader.signal.throwIfAborted();
      parts.log.info('logs.unanswered', { worker: workerId, error: String(error) });
      return [];
    }
  };
  const fresh = parts.workers.list(reader.account).filter(({ bootId }) => parts.workers.isFresh(bootId));
  const lines = (await Promise.all(fresh.map(tailOf))).flat();
  return lines.sort((a, b) => a.atMs - b.atMs).slice(-tail);
}

/** Enough to know a line again that came both ways. */
function fingerprint({ workerId, atMs, id, callId, message }: LogLine): string {
  return `${workerId} ${atMs} ${id} ${callId} ${message}`;
}
