import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { registerFiles } from './files.js';
import { registerGet } from './get.js';
import { registerList } from './list.js';
import { registerNames } from './names.js';
import { registerPut } from './put.js';

const examples = `
Examples:
  holdfast nfs create shared
  holdfast nfs put inputs/ shared:in       what is in inputs, as in
  holdfast nfs ls shared:in
  holdfast nfs cat shared:out/log.txt`;

/** `holdfast nfs …` */
export function registerNfs(program: Command, context: CommandContext): void {
  const command = program
    .command('nfs')
    .description('network file systems: files that all who mount them see at once')
    .helpCommand(false)
    .addHelpText('after', examples);
  for (const each of [registerNames, registerList, registerPut, registerGet, registerFiles]) each(command, context);
}
