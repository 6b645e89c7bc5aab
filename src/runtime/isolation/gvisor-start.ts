import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IsolatedSpec } from '../../common/ports/sandbox.js';
import { diskOnStage, oomScore, stage } from './bubblewrap-start.js';
import type { HostView } from './host-view.js';
import type { LauncherStep } from './launcher.js';
import { findProgram, unavailable } from './requirements.js';
import { hasLayers, overlaySteps } from './root-layers.js';
import { insideUser } from './scratch-template.js';
import type { StartWords, WalledStart, Walls } from './walls.js';

const disk = `${stage}${diskOnStage}`;
/** Its /tmp, so that gVisor does not put one of its own, in memory, over it. */
const temporary = `${stage}/tmp`;
const mostFiles = 65_536;

const flags = [
  '--network=none',
  // The worker's own cgroups hold all its processes, which the launcher has put there.
  '--ignore-cgroups',
  // What is written is on the disk at once, where a snapshot finds it.
  '--file-access=shared',
];
/** Newer versions put an overlay over the disk unless they are told not to; older ones do not know of it. */
const overlayFlag = '--overlay2=none';
/** Of those that are bound into it; programs there cannot make sockets that the host sees. */
const socketFlag = '--host-uds=open';

/**
 * Isolation by gVisor: a kernel of its own in user space answers what programs ask for, in a process without privileges;
 * another one without them opens its files. Disks, layers and cgroups are those of bubblewrap.
 */
export function gvisorWalls(): Walls {
  let allFlags: readonly string[] | null = null;
  return {
    kind: 'gvisor',
    findProgram: () => {
      const program = findProgram('runsc');
      if (program !== null) return program;
      const why = 'runsc is not installed: apt-get install --no-install-recommends runsc, or see gvisor.dev';
      throw unavailable(why, undefined, 'gvisor');
    },
    // It maps nobody: the user inside is that of the files.
    userOf: () => insideUser.id,
    diskPath: disk,
    start: async (parts) => {
      allFlags ??= [...flags, ...((await hasOverlays(parts.program)) ? [overlayFlag] : [])];
      return await startWords(parts, allFlags);
    },
  };
}

async function startWords(parts: WalledStart, allFlags: readonly string[]): Promise<StartWords> {
  const { spec, host, program, folder, scratch } = parts;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, 'config.json'), JSON.stringify(ociSpec(spec, host)));
  const steps: LauncherStep[] = [
    ...parts.cgroupFolders.map((each) => ['cgroup', `${each}/cgroup.procs`] as const),
    ['oom-score', oomScore],
    scratch.copying,
    ['namespace', stage],
    ['disk', scratch.file, disk],
    ['own', `${disk}/files`, String(scratch.uid)],
    ...overlaySteps(spec.scratch.root, { stage, files: disk, user: scratch.uid }),
    ['below', rootOf(spec), 'tmp', temporary],
    ['input', '3'],
  ];
  const ofSockets = spec.binds?.some(({ isSocket }) => isSocket === true) === true ? [socketFlag] : [];
  const run = [...allFlags, ...ofSockets, '--root', folder, 'run', '--bundle', folder, spec.id];
  return { words: [...steps.flat(), 'exec', program, ...run], args: [] };
}

function rootOf({ scratch }: IsolatedSpec): string {
  return hasLayers(scratch.root) ? `${stage}/root` : `${disk}/files`;
}

/** As OCI's runtime specification has it. */
export function ociSpec(spec: IsolatedSpec, host: HostView): object {
  const { argv, env, cwd = '/', scratch, binds = [] } = spec;
  const bind = (source: string, destination: string, mode: 'ro' | 'rw'): object => ({
    ...{ type: 'bind', source, destination },
    options: ['rbind', mode],
  });
  const shown = scratch.root.kind === 'host' ? host.shown : [];
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: insideUser.id, gid: insideUser.id },
      // gVisor passes the three standard streams on and nothing else: the socket comes as the first of them.
      args: ['/bin/sh', '-c', 'exec "$0" "$@" 3<&0 </dev/null', ...argv],
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      cwd,
      noNewPrivileges: true,
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: mostFiles, hard: mostFiles }],
    },
    root: { path: rootOf(spec), readonly: false },
    hostname: 'sandbox',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      bind(temporary, '/tmp', 'rw'),
      ...shown.map((path) => bind(path, path, 'ro')),
      ...binds.map(({ source, target, writable }) => bind(source, target, writable === true ? 'rw' : 'ro')),
    ],
    linux: { namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  };
}

async function hasOverlays(program: string): Promise<boolean> {
  const { stdout, stderr } = await promisify(execFile)(program, ['flags']);
  return /^\s+-overlay2\b/m.test(stdout + stderr);
}
