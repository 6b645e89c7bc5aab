import { openTransport } from '../../sdk/default-client.js';
import { LogLine, LogsRequest } from '../../wire/gen/holdfast/v1/router.js';
import type { Terminal } from '../output/terminal.js';
import type { Connection } from './connection.js';
import { parseObject } from './documents.js';
import type { Scope } from './references.js';

/** Which lines, and for how long. */
export interface LogQuery {
  readonly scope: Scope;
  readonly follow: boolean;
  readonly tail: number;
  readonly signal: AbortSignal;
}

/** Lines as they come; ends at the signal. @throws what the router answers, Unavailable */
export async function* readLogLines(connection: Connection, query: LogQuery): AsyncIterable<LogLine> {
  const transport = openTransport(connection, { env: {}, keepsProcessAlive: true });
  try {
    const { scope, follow, tail, signal } = query;
    const request = LogsRequest.encode({ ...scope, follow, tail }).finish();
    for await (const bytes of transport.download('Logs', request, { signal })) yield LogLine.decode(bytes);
  } catch (e) {
    if (!query.signal.aborted) throw e;
  } finally {
    await transport.close();
  }
}

const levelStyles: Readonly<Record<string, 'red' | 'yellow' | 'dim'>> = { error: 'red', warn: 'yellow', debug: 'dim' };

/** A line for people: time, where, what. */
export function logLineText(line: LogLine, terminal: Terminal): string {
  const at = new Date(line.atMs).toISOString().slice(11, 23);
  const where = [line.app, line.className, line.id].filter(Boolean).join('/');
  const fields = Object.entries(parseObject(line.fieldsJson)).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  const style = levelStyles[line.level] ?? (line.source === 'stderr' ? 'yellow' : null);
  const message = style ? terminal.paint(style, line.message) : line.message;
  return [terminal.paint('dim', at), terminal.paint('cyan', where), message, ...fields].join(' ');
}
