import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import { withProgress } from '../../output/progress.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';
import { parseSessionReference } from './session-reference.js';

const notes = `
It prints the id of the image: app.sandbox({ image: Image.fromId('…') }) starts
sessions with these files. Programs of the session stand still while its files
are copied.`;

/** `holdfast sandbox snapshot SESSION` */
export function registerSnapshot(program: Command, context: CommandContext): void {
  const command = program
    .command('snapshot')
    .description('make an image of the files of a session')
    .argument('<session>', 'APP/SANDBOX/ID')
    .addHelpText('after', notes);
  withConnection(command).action(async (session: string, options: ConnectionOptions & JsonOption) =>
    snapshot(session, options, context),
  );
}

async function snapshot(text: string, options: ConnectionOptions & JsonOption, context: CommandContext): Promise<void> {
  const reference = parseSessionReference(text);
  const connection = findConnection(options, context.env);
  const { withSession } = await import('./with-session.js');
  const { id } = await withSession(connection, { reference, context }, (session) =>
    withProgress(`taking a snapshot of ${text}`, context, () => session.snapshot()),
  );
  context.terminal.print(options.json ? toJson({ image: id }) : id);
}
