import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { registerAttach } from './attach.js';
import { registerClose } from './close.js';
import { registerCopy } from './copy.js';
import { registerCreate } from './create.js';
import { registerExec } from './exec.js';
import { registerForward } from './forward.js';
import { registerList } from './list.js';
import { registerProcesses } from './processes.js';
import { registerShell } from './shell.js';
import { registerSnapshot } from './snapshot.js';

const examples = `
Examples:
  holdfast sandbox create demo/shell one
  holdfast sandbox exec demo/shell/one python3 -c 'print(6 * 7)'
  holdfast sandbox cp data.csv demo/shell/one:/tmp/
  holdfast sandbox shell demo/shell/one
  holdfast sandbox close demo/shell/one

\`holdfast ps demo/shell\` lists the sessions of a sandbox.`;

/** `holdfast sandbox …` */
export function registerSandbox(program: Command, context: CommandContext): void {
  const command = program
    .command('sandbox')
    .description('sessions of sandboxes: commands, files, a terminal')
    // As the command of the user's has options of its own, which are not ours.
    .enablePositionalOptions()
    .helpCommand(false)
    .addHelpText('after', examples);
  const register = [
    registerCreate,
    registerExec,
    registerShell,
    registerCopy,
    registerList,
    registerProcesses,
    registerAttach,
    registerForward,
    registerSnapshot,
    registerClose,
  ];
  for (const each of register) each(command, context);
}
