import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import { toJson } from '../../output/json-value.js';
import type { CommandContext } from '../command-context.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

type Options = ConnectionOptions & JsonOption;

/** `holdfast nfs create | delete` */
export function registerNames(nfs: Command, context: CommandContext): void {
  const create = nfs.command('create').description('make an empty one, where there is none').argument('<nfs>');
  withConnection(create).action(async (name: string, options: Options) => createNfs(name, options, context));
  const remove = nfs.command('delete').description('delete one with all it holds').argument('<nfs>');
  withConnection(remove).action(async (name: string, options: Options) => deleteNfs(name, options, context));
}

async function createNfs(name: string, options: Options, context: CommandContext): Promise<void> {
  const { withNfs } = await import('./with-nfs.js');
  // The first look at one that is to be there makes it.
  await withNfs({ name, createIfMissing: true }, { options, context }, (nfs) => nfs.listdir());
  context.terminal.print(options.json ? toJson({ name }) : `created ${name}`);
}

async function deleteNfs(name: string, options: Options, context: CommandContext): Promise<void> {
  const { withNfs } = await import('./with-nfs.js');
  const { deleted } = await withNfs({ name }, { options, context }, (nfs) => nfs.delete());
  if (!deleted)
    throw new HoldfastError(
      'NotFound',
      `no network file system ${name}: \`holdfast nfs ls\` shows those that there are`,
    );
  context.terminal.print(options.json ? toJson({ name, deleted }) : `deleted ${name}`);
}
