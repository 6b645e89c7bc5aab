import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import { withProgress } from '../../output/progress.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from '../options.js';
import { parseSessionReference } from './session-reference.js';

interface CloseOptions extends ConnectionOptions, JsonOption {
  readonly force?: boolean;
  readonly timeout: number;
}

const defaultTimeoutMs = 60_000;

/** `holdfast sandbox close SESSION` */
export function registerClose(program: Command, context: CommandContext): void {
  const command = program
    .command('close')
    .description('end a session for good: its processes and its files are gone')
    .argument('<session>', 'APP/SANDBOX/ID')
    .option('--force', 'do not wait for commands that run')
    .option('--timeout <ms>', 'give up waiting after this long', positiveNumber, defaultTimeoutMs);
  withConnection(command).action(async (session: string, options: CloseOptions) => close(session, options, context));
}

async function close(text: string, options: CloseOptions, context: CommandContext): Promise<void> {
  const { app, sandbox, id } = parseSessionReference(text);
  const connection = findConnection(options, context.env);
  const { withRouter } = await import('../router-access.js');
  const how = { force: options.force ?? false, timeoutMs: options.timeout };
  const { closed, alreadyClosed } = await withProgress(`closing ${text}`, context, () =>
    withRouter(connection, context, (router) => router.close({ app, className: sandbox, id }, how)),
  );
  const { terminal } = context;
  if (options.json) terminal.print(toJson({ closed, alreadyClosed }));
  else terminal.print(alreadyClosed ? `${text} is not there: it was closed already, or never made` : `closed ${text}`);
}
