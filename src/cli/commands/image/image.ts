import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { registerCollect } from './collect.js';
import { registerList } from './list.js';

const examples = `
Examples:
  holdfast image ls
  holdfast image gc --keep-days 1       used by nothing for a day`;

/** `holdfast image …` */
export function registerImage(program: Command, context: CommandContext): void {
  const command = program
    .command('image')
    .description('files that classes and sandboxes start with')
    .helpCommand(false)
    .addHelpText('after', examples);
  for (const register of [registerList, registerCollect]) register(command, context);
}
