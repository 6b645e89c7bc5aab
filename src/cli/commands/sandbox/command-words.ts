import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';

/**
 * The words of a command of the user's, which begins at the first that is no option: what follows is its own. Options of ours
 * before it are set.
 *
 * @throws InvalidArgument
 */
export function commandWords(command: Command, given: readonly string[]): string[] {
  const { operands, unknown } = command.parseOptions([...given]);
  const [wrong] = unknown;
  if (wrong === '--help' || wrong === '-h') command.help();
  if (wrong === undefined) return operands;
  throw new HoldfastError(
    'InvalidArgument',
    `${wrong} is no option of \`holdfast sandbox ${command.name()}\`; those of your command come after its name`,
  );
}
