import type { SweptBoot } from '../../../runtime/isolation/leftovers.js';
import { stateFolder } from '../../dev/state-file.js';
import type { CommandContext } from '../command-context.js';

export interface HostOptions {
  readonly fix?: boolean;
  readonly data?: string;
}

interface FoundLeftover extends SweptBoot {
  readonly removed: boolean;
}

/** What this machine can do, and what killed workers left on it. */
export interface HostDiagnosis {
  /** Null: sandboxes can run here. */
  readonly sandboxesUnavailable: string | null;
  readonly leftovers: readonly FoundLeftover[];
}

/** Looks, and with `fix` removes what is left. */
export async function examineHost(options: HostOptions, { env, clock }: CommandContext): Promise<HostDiagnosis> {
  const [{ findBootCgroups, findLeftovers, removeLeftover }, { isolationLack, sandboxesFolders }] = await Promise.all([
    import('../../../runtime/isolation/leftovers.js'),
    import('../../parts/isolation.js'),
  ]);
  const state = stateFolder(env);
  const found = findLeftovers({
    cgroupFolders: findBootCgroups(),
    sandboxFolders: sandboxesFolders(options.data === undefined ? state : options.data),
  });
  const leftovers: FoundLeftover[] = [];
  for (const leftover of found) {
    const problem = options.fix === true ? await removeLeftover(leftover, clock) : null;
    leftovers.push({ ...leftover, removed: options.fix === true && problem === null, problem });
  }
  return { sandboxesUnavailable: await isolationLack(options.data ?? state), leftovers };
}

/** For people. */
export async function reportHost(
  { sandboxesUnavailable, leftovers }: HostDiagnosis,
  { fix }: HostOptions,
  { terminal }: CommandContext,
): Promise<void> {
  terminal.note(
    sandboxesUnavailable === null ? 'sandboxes can run here' : `sandboxes cannot run here: ${sandboxesUnavailable}`,
  );
  if (leftovers.length === 0) return terminal.note('nothing is left of killed workers');
  const { tableLines } = await import('../../output/table.js');
  const columns = [
    { title: 'BOOT' },
    { title: 'PROCESSES', align: 'right' },
    { title: 'DISK', align: 'right' },
    { title: 'STATE' },
    { title: 'WHERE', shrinksTo: 16 },
  ] as const;
  const rows = leftovers.map(({ bootId, processes, bytes, removed, cgroups, folders }) => {
    const state = removed ? terminal.paint('green', 'removed') : terminal.paint('yellow', 'left');
    return [bootId, String(processes), sizeText(bytes), state, [...folders, ...cgroups].join(' ')];
  });
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
  for (const { bootId, problem } of leftovers) if (problem !== null) terminal.note(`${bootId}: ${problem}`);
  if (fix !== true) terminal.note('remove it with `holdfast doctor --fix`');
}

function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}
