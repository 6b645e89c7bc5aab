import { type Command, InvalidArgumentError } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import { toJson } from '../../output/json-value.js';
import type { CommandContext } from '../command-context.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

type Options = ConnectionOptions & JsonOption;

interface CreateOptions extends Options {
  readonly sizeGb?: number;
}

interface BranchOptions extends Options {
  readonly at?: string;
}

/** `holdfast volume create | branch | delete` */
export function registerNames(volume: Command, context: CommandContext): void {
  const create = volume
    .command('create')
    .description('make an empty volume')
    .argument('<volume>')
    .option('--size-gb <number>', 'what it may hold at most', aboveZero);
  withConnection(create).action(async (name: string, options: CreateOptions) => createVolume(name, options, context));
  const branch = volume
    .command('branch')
    .description('make a volume that begins as this one is, or was')
    .argument('<volume>')
    .argument('<new>', 'name of the new one')
    .option('--at <commit>', 'an older state; default: the newest');
  withConnection(branch).action(async (name: string, made: string, options: BranchOptions) =>
    branchVolume({ name, made }, options, context),
  );
  const remove = volume.command('delete').description('delete a volume and its history').argument('<volume>');
  withConnection(remove).action(async (name: string, options: Options) => deleteVolume(name, options, context));
}

async function createVolume(name: string, options: CreateOptions, context: CommandContext): Promise<void> {
  const { sizeGb, json } = options;
  const { withVolumes, Volume } = await load();
  const size = sizeGb === undefined ? {} : { sizeGb };
  await withVolumes(options, context, (client) => Volume.create(name, { client, ...size }));
  context.terminal.print(json ? toJson({ name, ...size }) : `created ${name}`);
}

async function branchVolume(
  { name, made }: { readonly name: string; readonly made: string },
  options: BranchOptions,
  context: CommandContext,
): Promise<void> {
  const { at, json } = options;
  const { withVolumes, Volume } = await load();
  await withVolumes(options, context, (client) =>
    Volume.fromName(name, { client }).branch(made, at === undefined ? {} : { at }),
  );
  context.terminal.print(json ? toJson({ name: made, of: name, at: at ?? null }) : `created ${made}`);
}

async function deleteVolume(name: string, options: Options, context: CommandContext): Promise<void> {
  const { withVolumes, Volume } = await load();
  const { deleted } = await withVolumes(options, context, (client) => Volume.fromName(name, { client }).delete());
  if (!deleted)
    throw new HoldfastError('NotFound', `no volume ${name}: \`holdfast volume ls\` shows those that there are`);
  context.terminal.print(options.json ? toJson({ name, deleted }) : `deleted ${name}`);
}

async function load() {
  const [{ withVolumes }, { Volume }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/volume.js'),
  ]);
  return { withVolumes, Volume };
}

function aboveZero(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('Write a number above 0.');
}
