import { pino, stdTimeFunctions } from 'pino';
import type { Logger } from '../../common/context.js';
import type { Terminal } from './terminal.js';

const levelStyles = { info: 'green', warn: 'yellow', error: 'red' } as const;

/**
 * The log of a router or worker process: JSON lines on stdout, each a constant dotted event with its fields; on a terminal,
 * lines for people.
 */
export function createProcessLog(terminal: Terminal, bound: Readonly<Record<string, string>>): Logger {
  const isForPeople = terminal.columns !== null;
  const logger = pino(
    {
      base: bound,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line) => terminal.print(isForPeople ? humanLine(line, bound, terminal) : line.trimEnd()) },
  );
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: object = {}): void =>
      logger[level]({ event, ...fields });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function humanLine(line: string, bound: Readonly<Record<string, string>>, terminal: Terminal): string {
  const { level, time, event, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest)
    .filter(([name]) => !(name in bound))
    .map(
      ([name, value]) =>
        `${terminal.paint('dim', `${name}=`)}${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
  const style = levelStyles[level as keyof typeof levelStyles] ?? 'dim';
  const clock = terminal.paint('dim', String(time).slice(11, 19));
  return [clock, terminal.paint(style, String(event)), ...fields].join(' ');
}
