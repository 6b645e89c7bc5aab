import { chmod, copyFile, mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IsolatedRoot } from '../../common/ports/sandbox.js';
import { removeFolder } from '../process/remove-folder.js';
import type { HostView } from './host-view.js';
import { runProgram } from './launcher.js';
import { hasLayers } from './root-layers.js';

/** Of the user in every sandbox. */
export const insideUser = { id: 1_000, name: 'user', home: '/home/user' };
const hostName = 'sandbox';
const bytesPerGb = 1_073_741_824;
const blockBytes = 4_096;
/** ext4 with its tables does not fit in less. */
const smallestBytes = 8_388_608;
/** A template is some hundred KiB; a size that comes after so many others is made anew each time. */
const maxTemplates = 64;

/**
 * Empty file systems of the sizes that were asked for, to be copied: a copy is a tenth of the work of mkfs. `files` in them
 * is the root of a sandbox, or what lies over its image; `work` is the overlay's own.
 *
 * No journal: nobody mounts one again after a crash of the host. All tables at the front and initialized late, so that a
 * new one takes little space on the host.
 */
export class ScratchTemplates {
  readonly #folder: string;
  readonly #host: HostView;
  readonly #made = new Map<string, Promise<string>>();
  #ready: Promise<void> | null = null;

  /** @param folder that is there, and belongs to it */
  constructor(folder: string, host: HostView) {
    this.#folder = folder;
    this.#host = host;
  }

  /** A file to copy; or, where there are too many kinds of them, `path` itself, freshly made. @throws Unavailable */
  async find(root: IsolatedRoot, diskGb: number, path: string): Promise<string> {
    const kind = skeletonOf(root);
    const name = `${kind}-${diskGb}`;
    const made = this.#made.get(name);
    if (made !== undefined) return await made;
    if (this.#made.size >= maxTemplates) return await this.#make(kind, diskGb, path);
    const making = this.#make(kind, diskGb, join(this.#folder, `${name}.img`));
    this.#made.set(name, making);
    // The next one tries again.
    making.catch(() => this.#made.delete(name));
    return await making;
  }

  async #make(kind: Skeleton, diskGb: number, path: string): Promise<string> {
    this.#ready ??= writeSkeletons(this.#folder, this.#host);
    await this.#ready;
    const partial = `${path}.partial`;
    await writeFile(partial, '', { mode: 0o600 });
    const bytes = Math.max(smallestBytes, Math.ceil((diskGb * bytesPerGb) / blockBytes) * blockBytes);
    await truncate(partial, bytes);
    const features = ['-O', '^has_journal,^resize_inode', '-m', '0', '-b', String(blockBytes), '-G', '4096'];
    const late = ['-E', 'lazy_itable_init=1,nodiscard,packed_meta_blocks=1,root_owner=0:0'];
    await runProgram('mkfs.ext4', ['-q', '-F', ...features, ...late, '-d', join(this.#folder, kind), partial]);
    await rename(partial, path);
    return path;
  }
}

type Skeleton = 'host' | 'empty';

/** Layers have all that a root needs: whatever lay over them would hide what they say. */
function skeletonOf(root: IsolatedRoot): Skeleton {
  return root.kind === 'host' && !hasLayers(root) ? 'host' : 'empty';
}

/** `host` has an /etc of its own and the links of the host's root. */
async function writeSkeletons(folder: string, host: HostView): Promise<void> {
  for (const kind of ['host', 'empty']) await removeFolder(join(folder, kind));
  for (const name of ['files', 'work']) await mkdir(join(folder, 'empty', name), { recursive: true });
  const files = join(folder, 'host/files');
  for (const name of ['etc', 'home/user', 'tmp', 'var/tmp']) await mkdir(join(files, name), { recursive: true });
  for (const name of ['tmp', 'var/tmp']) await chmod(join(files, name), 0o1777);
  await mkdir(join(folder, 'host/work'));
  for (const [path, text] of [...machineFiles, ...userFiles]) await writeFile(join(files, path), text);
  for (const name of ['mnt', 'opt', 'root', 'run', 'srv', 'var/cache', 'var/lib', 'var/log', ...host.folders])
    await mkdir(join(files, name), { recursive: true });
  for (const { name, path } of host.copies) await copyFile(path, join(files, name));
  await symlink('/run', join(files, 'var/run'));
  await writeFile(join(files, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n');
  await writeFile(join(files, 'etc/profile'), 'export PS1="\\w $ "\n');
  for (const [name, text] of host.links) await symlink(text, join(files, name));
}

/** What is the machine's and not an image's. */
export const machineFiles = [
  ['etc/hosts', `127.0.0.1 localhost ${hostName}\n::1 localhost\n`],
  ['etc/hostname', `${hostName}\n`],
  // There is no server to ask: the proxy resolves names.
  ['etc/resolv.conf', ''],
] as const;

const { id, name, home } = insideUser;
const userFiles = [
  [
    'etc/passwd',
    `root:x:0:0:root:/root:/bin/sh\n${name}:x:${id}:${id}:${name}:${home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n`,
  ],
  ['etc/group', `root:x:0:\n${name}:x:${id}:\nnogroup:x:65534:\n`],
] as const;
