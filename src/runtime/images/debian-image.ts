import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ImageBase } from '../../common/image-recipe.js';
import type { Guest } from '../../common/ports/guest.js';
import { bareTarget } from '../isolation/bubblewrap-start.js';
import { insideUser, machineFiles } from '../isolation/scratch-template.js';
import { sandboxEnv } from '../sandbox/sandbox-env.js';
import { runBuildCommand } from './build-command.js';
import type { BuildWatch } from './shared-build.js';

export const defaultDebianMirror = 'http://deb.debian.org/debian';

/** apt gives up its rights for a user that is no other one here. */
const aptOptions = ['--aptopt=APT::Sandbox::User "root"', '--aptopt=Acquire::Retries "3"'];
/** What there is to mount and to find out is not to be had inside, nor is it needed. */
const skipped = 'check/empty,check/qemu,chroot/mount,output/dev';
const always = ['ca-certificates'];

/**
 * Makes a root file system of a release at `bareTarget`, with the programs of the host.
 *
 * @throws CommandFailed, SandboxUnavailable where the host has no mmdebstrap
 */
export async function makeDebian(
  { suite, packages }: ImageBase & { readonly from: 'debian' },
  {
    guest,
    mirror,
    way,
  }: { readonly guest: Guest; readonly mirror: string; readonly way: Readonly<Record<string, string>> },
  watch: BuildWatch,
): Promise<void> {
  const include = [...always, ...packages].join(',');
  const argv = ['mmdebstrap', '--mode=root', '--variant=minbase', `--skip=${skipped}`, `--include=${include}`];
  await runBuildCommand(
    guest,
    {
      argv: [...argv, ...aptOptions, suite, bareTarget, mirror],
      cwd: '/',
      env: { ...sandboxEnv, ...way, TMPDIR: '/tmp' },
    },
    watch,
  ).catch((e: unknown) => {
    if (!isHoldfastError(e, 'FileNotFound')) throw e;
    const what =
      'mmdebstrap is not installed on the worker that builds: apt-get install --no-install-recommends mmdebstrap';
    throw new HoldfastError('SandboxUnavailable', what, { cause: e });
  });
  for (const [name, text] of machineFiles) await guest.writeFile(`${bareTarget}/${name}`, Buffer.from(text));
  await addUser(guest);
}

/** Programs run as this one, and look themselves up. */
async function addUser(guest: Guest): Promise<void> {
  const { id, name, home } = insideUser;
  const lines = { passwd: `${name}:x:${id}:${id}:${name}:${home}:/bin/sh\n`, group: `${name}:x:${id}:\n` };
  for (const [file, line] of Object.entries(lines)) {
    await guest.writeFile(`${bareTarget}/etc/${file}`, Buffer.from(line), { append: true });
  }
  await guest.mkdir(`${bareTarget}${home}`, { parents: true, existOk: true });
}
