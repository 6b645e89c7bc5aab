import type { IsolatedRoot } from '../../common/ports/sandbox.js';
import type { LauncherStep } from './launcher.js';

/** The user of the host whose unpacked layers are; no sandbox runs as this one. */
export const layerUser = 0x7f_fe_00_00;

/** Whether the writable part lies over others. */
export function hasLayers(root: IsolatedRoot): boolean {
  return (root.layers?.length ?? 0) > 0;
}

/**
 * Mounts the layers of a root and what is written over them at `root` on the stage. Layers come to their places first, so that
 * no path of the host needs quoting in the options.
 *
 * @param on.files the folder of the writable part's file system, on the stage
 * @param on.user of the host that the sandbox runs as: what another sandbox wrote is shown as its own
 */
export function overlaySteps(
  root: IsolatedRoot,
  on: { readonly stage: string; readonly files: string; readonly user: number },
): LauncherStep[] {
  if (!hasLayers(root)) return [];
  const { stage, files, user } = on;
  const sources = root.layers ?? [];
  const places = sources.map((_, index) => `${stage}/layer${index}`);
  // userxattr: what marks a folder as opaque can be read by the unprivileged program that packs it.
  const options = `userxattr,lowerdir=${places.join(':')},upperdir=${files}/files,workdir=${files}/work`;
  return [
    ...sources.map((source, index): LauncherStep => {
      return ['layer', source, places[index] as string, String(layerUser), String(user)];
    }),
    ['overlay', `${stage}/root`, options],
  ];
}
