import { HoldfastError } from '../../common/errors.js';
import type { IsolatedBind, IsolatedRoot, IsolatedSpec } from '../../common/ports/sandbox.js';
import type { HostView } from './host-view.js';
import type { LauncherStep } from './launcher.js';
import { findProgram, unavailable } from './requirements.js';
import { hasLayers, overlaySteps } from './root-layers.js';
import { insideUser } from './scratch-template.js';
import type { StartWords, WalledStart, Walls } from './walls.js';

/** Where roots are built, each process in a mount namespace of its own; on the host it stays empty. */
export const stage = '/run/holdfast';
/** Where a bare root has what its scratch holds. */
export const bareTarget = '/target';
/** The scratch, as everything in the namespace sees it once the stage is the root. */
export const diskOnStage = '/disk';
/** Of the program; 4 and 5 are bubblewrap's own and closed when the program starts. */
export const descriptors = { socket: 3, filter: 4, args: 5 };

/** Sandboxes are the first to go when the whole host is out of memory. */
export const oomScore = '500';
/** An agent stops what takes all of its sandbox's processor only if it gets there itself; it starts commands as anybody else. */
const agentUrgency = '15';

export const bubblewrapWalls: Walls = {
  kind: 'bubblewrap',
  findProgram: () => {
    const program = findProgram('bwrap');
    if (program === null) throw unavailable('bubblewrap is not installed any more');
    return program;
  },
  userOf: (drawn) => drawn,
  diskPath: diskOnStage,
  start: async (parts) => startWords(parts),
};

/** Of a builder, over its own user namespace and nothing else: whatever is there belongs to it. */
const builderRights = ['CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_SYS_CHROOT'].flatMap((name) => ['--cap-add', name]);
const root = 0;

/** Arguments come by a descriptor: other users of the host see no environment. */
function startWords(parts: WalledStart): StartWords {
  const { spec, program, host, scratch } = parts;
  const binds = (spec.binds ?? []).map((bind, index) => ({ ...bind, name: `bind${index}` }));
  const steps: LauncherStep[] = [
    ...parts.cgroupFolders.map((folder) => ['cgroup', `${folder}/cgroup.procs`] as const),
    ['oom-score', oomScore],
    ...(spec.isPid1 === true ? [['urgent', agentUrgency] as const] : []),
    scratch.copying,
    ['namespace', stage],
    ...host.stage(stage),
    ...binds.map(({ source, name }) => ['bind', source, `${stage}/${name}`] as const),
    ['disk', scratch.file, `${stage}${diskOnStage}`],
    ...ownFolders(spec.scratch.root).map(
      (name) => ['own', `${stage}${diskOnStage}/${name}`, String(scratch.uid)] as const,
    ),
    ...overlaySteps(spec.scratch.root, { stage, files: `${stage}${diskOnStage}`, user: scratch.uid }),
    ['pivot', stage],
    ['user', String(scratch.uid)],
  ];
  const argsOption = ['--args', String(descriptors.args), '--'];
  return {
    words: [...steps.flat(), 'exec', program, ...argsOption, ...spec.argv],
    args: [
      ...(spec.isBuilder === true ? [...confinement(root), ...builderRights] : confinement(insideUser.id)),
      ...rootArgs(spec.scratch.root, host),
      ...mounts(binds),
      ...programArgs(spec),
    ],
  };
}

/** Arguments of bubblewrap for whatever runs in it, as this user of the inside. */
export function confinement(insideId: number): string[] {
  return [
    '--unshare-all',
    '--unshare-user',
    '--disable-userns',
    ...['--uid', String(insideId), '--gid', String(insideId)],
    ...['--hostname', 'sandbox'],
    ...['--cap-drop', 'ALL'],
    ...['--seccomp', String(descriptors.filter)],
    '--die-with-parent',
    '--new-session',
  ];
}

/** `work` is the overlay's, where there is one. */
function ownFolders({ kind }: IsolatedRoot): readonly string[] {
  return kind === 'bare' ? ['files', 'work'] : ['files'];
}

/** What programs expect to find while a root file system is made, of the host's devices. */
const bareDevices = ['null', 'zero', 'random', 'urandom'].map((name) => `/dev/${name}`);

function bareArgs({ binds, links }: HostView): string[] {
  return [
    ...binds,
    ...links.flatMap(([name, text]) => ['--symlink', text, `/${name}`]),
    ...['--proc', '/proc', '--dev', '/dev'],
    ...['--bind', `${diskOnStage}/files`, bareTarget, '--bind', `${diskOnStage}/work`, '/tmp'],
    ...bareDevices.flatMap((device) => ['--dev-bind', device, `${bareTarget}${device}`]),
    ...['/root', '/etc/apt/apt.conf.d', '/etc/apt/trusted.gpg.d'].flatMap((folder) => ['--dir', folder]),
  ];
}

function rootArgs(root: IsolatedRoot, host: HostView): string[] {
  if (root.kind === 'bare') return bareArgs(host);
  const files = hasLayers(root) ? '/root' : `${diskOnStage}/files`;
  const shown = root.kind === 'host' ? host.binds : [];
  return ['--bind', files, '/', ...shown, '--proc', '/proc', '--dev', '/dev'];
}

function mounts(binds: readonly (IsolatedBind & { readonly name: string })[]): string[] {
  return binds.flatMap(({ name, target, writable }) => [
    writable === true ? '--bind' : '--ro-bind',
    `/${name}`,
    target,
  ]);
}

function programArgs({ env, cwd, isPid1 }: IsolatedSpec): string[] {
  return [
    '--clearenv',
    ...Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value]),
    // An image can name one that it has not.
    ...(cwd === undefined ? [] : ['--dir', cwd]),
    ...['--chdir', cwd ?? '/'],
    ...(isPid1 === true ? ['--as-pid-1'] : []),
  ];
}

const idPattern = /^[\w-]{1,64}$/;

/** @throws InvalidArgument */
export function checkSpec({ id, argv, env, cwd, binds = [] }: IsolatedSpec): void {
  checkId(id);
  const texts = [...argv, ...Object.entries(env).flat(), cwd ?? '/', ...binds.flatMap((b) => [b.source, b.target])];
  if (texts.some((text) => text.includes('\0'))) throw wrong(id, 'a NUL character in its arguments');
  const name = Object.keys(env).find((candidate) => candidate === '' || candidate.includes('='));
  if (name !== undefined) throw wrong(id, `the variable name ${JSON.stringify(name)}`);
  for (const path of [cwd ?? '/', ...binds.flatMap((bind) => [bind.source, bind.target])]) {
    if (!path.startsWith('/') || path.split('/').includes('..'))
      throw wrong(id, `the path ${JSON.stringify(path)}; absolute ones without .. are expected`);
  }
}

/** It becomes a file name and the name of a cgroup. @throws InvalidArgument */
export function checkId(id: string): void {
  if (!idPattern.test(id)) throw wrong(id, 'that id; [A-Za-z0-9_-], 1 to 64 characters are expected');
}

function wrong(id: string, what: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `isolated process ${JSON.stringify(id)} cannot start with ${what}`);
}
