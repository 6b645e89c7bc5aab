import type { IsolatedRoot } from '../../common/ports/sandbox.js';
import { confinement, descriptors, diskOnStage, stage } from './bubblewrap-start.js';
import type { HostView } from './host-view.js';
import type { LauncherStep } from './launcher.js';
import { hasLayers, layerUser, overlaySteps } from './root-layers.js';

export interface LayerStartParts {
  readonly host: HostView;
  readonly bwrap: string;
  /** Path of GNU tar. */
  readonly tar: string;
  readonly cgroupFolders: readonly string[];
}

/** As `startWords` gives them. */
export interface LayerWords {
  readonly words: readonly string[];
  readonly args: readonly string[];
}

const place = '/layer';
/** Inside, whose files they are: names and owners of the host mean nothing to another sandbox. */
const root = 0;
/** What marks a folder that hides what is below it; other attributes are not kept. */
const attributes = ['--xattrs', '--xattrs-include=user.overlay.opaque'];

/**
 * What the tar of a layer is like: the same files give the same bytes. Holes stay holes, so that it is no larger than what was
 * written. Sockets are left out.
 */
const pack = [
  '--create',
  '--sparse',
  '--format=posix',
  '--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f',
  '--sort=name',
  '--numeric-owner',
  '--owner=0',
  '--group=0',
  '--one-file-system',
  '--warning=no-file-ignored',
  ...attributes,
  '--directory',
  place,
  '.',
];

const unpack = [
  '--extract',
  '--preserve-permissions',
  '--no-same-owner',
  '--delay-directory-restore',
  ...attributes,
  '--directory',
  place,
];

/** Reads what a scratch holds, as the user whose files they are and with the right to read what he may not. */
export function packWords(
  { host, bwrap, tar, cgroupFolders }: LayerStartParts,
  scratch: { readonly file: string; readonly uid: number; readonly root: IsolatedRoot },
  what: 'layer' | 'flat',
): LayerWords {
  const isOverlaid = what === 'flat' && hasLayers(scratch.root);
  const files = `${stage}${diskOnStage}`;
  const steps: LauncherStep[] = [
    ...begin(cgroupFolders, host),
    ['disk', scratch.file, files],
    ...(isOverlaid ? overlaySteps(scratch.root, { stage, files, user: scratch.uid }) : []),
    ...end(scratch.uid),
  ];
  const source = isOverlaid ? '/root' : `${diskOnStage}/files`;
  const binds = ['--cap-add', 'CAP_DAC_READ_SEARCH', '--ro-bind', source, place];
  return { words: wordsOf(steps, bwrap, [tar, ...pack]), args: [...confinement(root), ...shown(host), ...binds] };
}

/** Writes into a folder that belongs to the layers' user, and follows nothing out of it. */
export function unpackWords({ host, bwrap, tar, cgroupFolders }: LayerStartParts, folder: string): LayerWords {
  const steps: LauncherStep[] = [
    ...begin(cgroupFolders, host),
    ['bind', folder, `${stage}${place}`],
    ...end(layerUser),
  ];
  const binds = ['--cap-add', 'CAP_DAC_OVERRIDE', '--bind', place, place];
  return { words: wordsOf(steps, bwrap, [tar, ...unpack]), args: [...confinement(root), ...shown(host), ...binds] };
}

function begin(cgroupFolders: readonly string[], host: HostView): LauncherStep[] {
  return [
    ...cgroupFolders.map((folder) => ['cgroup', `${folder}/cgroup.procs`] as const),
    ['namespace', stage],
    ...host.stage(stage),
  ];
}

function end(user: number): LauncherStep[] {
  return [
    ['pivot', stage],
    ['user', String(user)],
  ];
}

function wordsOf(steps: readonly LauncherStep[], bwrap: string, program: readonly string[]): string[] {
  return [...steps.flat(), 'exec', bwrap, '--args', String(descriptors.args), '--', ...program];
}

/** Programs of the host and nothing else. */
function shown(host: HostView): string[] {
  const links = host.links.flatMap(([name, text]) => ['--symlink', text, `/${name}`]);
  return [...host.binds, ...links, '--proc', '/proc', '--dev', '/dev', '--clearenv', '--setenv', 'LC_ALL', 'C'];
}
