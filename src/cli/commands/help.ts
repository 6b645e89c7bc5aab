import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';

/** `holdfast help [COMMAND [SUBCOMMAND]]` */
export function registerHelp(program: Command): void {
  program
    .command('help')
    .description('show help for a command')
    .argument('[command...]', 'e.g. call, or sandbox exec')
    .action((names: readonly string[]) => commandOf(program, names).outputHelp());
}

/** @throws InvalidArgument */
function commandOf(program: Command, names: readonly string[]): Command {
  let found = program;
  for (const [at, name] of names.entries()) {
    const below = found.commands.find((known) => known.name() === name);
    if (below === undefined) {
      const shown = ['holdfast help', ...names.slice(0, at)].join(' ');
      throw new HoldfastError('InvalidArgument', `there is no command '${names.join(' ')}'; \`${shown}\` shows all`);
    }
    found = below;
  }
  return found;
}
