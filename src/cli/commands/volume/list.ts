import type { Command } from 'commander';
import { inParallel } from '../../../common/volumes/in-parallel.js';
import { byteText } from '../../output/byte-text.js';
import { fileStatLines } from '../../output/file-stats.js';
import { toJson } from '../../output/json-value.js';
import { minuteText } from '../../output/minute-text.js';
import { tableLines } from '../../output/table.js';
import type { CommandContext } from '../command-context.js';
import { parsePlace, volumeStore } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

interface ListOptions extends ConnectionOptions, JsonOption {
  readonly recursive?: boolean;
}

const askedAtOnce = 8;

/** `holdfast volume ls [VOLUME[:PATH]]` */
export function registerList(volume: Command, context: CommandContext): void {
  const command = volume
    .command('ls')
    .description('list volumes, or a directory of one')
    .argument('[volume[:path]]', 'default: all volumes')
    .option('-r, --recursive', 'with all that is in its directories');
  withConnection(command).action(async (place: string | undefined, options: ListOptions) =>
    place === undefined ? listVolumes(options, context) : listFiles(place, options, context),
  );
}

async function listVolumes(options: ListOptions, context: CommandContext): Promise<void> {
  const [{ withVolumes }, { Volume }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/volume.js'),
  ]);
  const found = await withVolumes(options, context, async (client, access) => {
    const volumes: Awaited<ReturnType<typeof access.found>>[] = [];
    await inParallel(await Volume.list({ client }), askedAtOnce, async ({ name }) => {
      volumes.push(await access.found(name));
    });
    return volumes.sort((a, b) => (a.volume.name < b.volume.name ? -1 : 1));
  });
  const { terminal } = context;
  const volumes = found.map(({ volume, head }) => ({
    ...{ name: volume.name, sizeGb: volume.sizeGb, createdAt: new Date(volume.createdAtMs) },
    ...{ files: head?.root.files ?? 0, bytes: head?.root.bytes ?? 0 },
    changedAt: head === null ? null : new Date(head.atMs),
  }));
  if (options.json) return terminal.print(toJson(volumes));
  if (volumes.length === 0) return terminal.note('no volumes: `holdfast volume create NAME` makes one');
  const columns = [
    { title: 'VOLUME', shrinksTo: 12 },
    ...[{ title: 'FILES', align: 'right' }, { title: 'SIZE', align: 'right' }, { title: 'CHANGED' }],
  ] as const;
  const rows = volumes.map(({ name, files, bytes, changedAt }) => [
    ...[name, String(files), byteText(bytes), changedAt === null ? '-' : minuteText(changedAt)],
  ]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

async function listFiles(text: string, options: ListOptions, context: CommandContext): Promise<void> {
  const { name, path } = parsePlace(text, volumeStore);
  const [{ withVolumes }, { Volume }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/volume.js'),
  ]);
  const recursive = options.recursive ?? false;
  const stats = await withVolumes(options, context, (client) =>
    Volume.fromName(name, { client }).listdir(path, { recursive }),
  );
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(stats));
  for (const line of fileStatLines(stats, terminal)) terminal.print(line);
}
