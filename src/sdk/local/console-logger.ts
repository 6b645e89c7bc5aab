import type { Logger } from '../../common/context.js';
import { plainFields } from '../../common/log-fields.js';

/** `context.log` of local instances: lines of JSON on stderr, as `holdfast logs` shows those of remote ones. */
export const consoleLogger: Logger = {
  debug: (message, fields) => write('debug', message, fields),
  info: (message, fields) => write('info', message, fields),
  warn: (message, fields) => write('warn', message, fields),
  error: (message, fields) => write('error', message, fields),
};

function write(level: string, message: string, fields: object | undefined): void {
  process.stderr.write(`${JSON.stringify({ level, message, ...(fields === undefined ? {} : plainFields(fields)) })}\n`);
}
