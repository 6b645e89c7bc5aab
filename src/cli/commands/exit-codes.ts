import type { Command } from 'commander';
import { exitCodesHelp } from '../output/exit-codes.js';
import type { CommandContext } from './command-context.js';

/** `holdfast help exit-codes`: a page of help, not a command. */
export function registerExitCodes(program: Command, { terminal }: CommandContext): void {
  program
    .command('exit-codes', { hidden: true })
    .configureHelp({ formatHelp: () => `${exitCodesHelp}\n` })
    .action(() => terminal.print(exitCodesHelp));
}
