import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import type { ImageContent } from '../../common/image.js';
import type { ImageStep } from '../../common/image-recipe.js';
import type { Guest } from '../../common/ports/guest.js';
import { sandboxEnv } from '../sandbox/sandbox-env.js';
import { type BuildCommand, runBuildCommand } from './build-command.js';
import { lacking } from './build-sandbox.js';
import type { BuildWatch } from './shared-build.js';

/** A step that programs do. */
export type ActiveStep = Exclude<ImageStep, { readonly do: 'env' | 'copy' }>;

/** Tars of what the client copies, by their hash. @throws FileNotFound, with `details.sha256`: it is to be sent */
export type BuildFiles = (sha256: string) => AsyncIterable<Uint8Array>;

export interface StepPlace {
  readonly guest: Guest;
  readonly content: ImageContent;
  readonly files: BuildFiles;
  readonly openNetwork: () => Promise<Readonly<Record<string, string>>>;
}

/** With the programs of a host, whose folders nobody may write in, what is installed lies beside them. */
const python = '/opt/python';
const npm = '/opt/npm';

const aptScript = `set -e
apt-get -o APT::Sandbox::User=root update
apt-get -o APT::Sandbox::User=root -o Dpkg::Options::=--force-unsafe-io install -y --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/*`;

/** Variables that an image needs for what a step has installed. */
export function variablesOf(step: ImageStep, { base, env }: ImageContent): Readonly<Record<string, string>> {
  const path = env['PATH'] ?? sandboxEnv['PATH'];
  const withPath = (folder: string): string => (path?.split(':').includes(folder) ? path : `${folder}:${path}`);
  if (step.do === 'env') return step.values;
  if (step.do === 'npm') return { NODE_PATH: `${npm}/lib/node_modules`, PATH: withPath(`${npm}/bin`) };
  if (step.do === 'pip' && base === 'host') return { PYTHONPATH: python, PATH: withPath(`${python}/bin`) };
  return {};
}

/** Does a step inside. @throws CommandFailed, FileNotFound, and what the guest throws */
export async function doStep(step: ActiveStep, place: StepPlace, watch: BuildWatch): Promise<void> {
  const { guest, content } = place;
  const cwd = content.workdir ?? '/';
  const env = { ...sandboxEnv, ...content.env };
  const run = (command: Pick<BuildCommand, 'argv' | 'input'>, more: Readonly<Record<string, string>>): Promise<void> =>
    runBuildCommand(guest, { cwd, env: { ...env, ...more }, ...command }, watch);
  switch (step.do) {
    case 'workdir':
      return await guest.mkdir(step.path, { parents: true, existOk: true });
    case 'files':
      return await copyFiles(step, place, run);
    case 'run':
      return await run({ argv: ['/bin/sh', '-c', step.command] }, await place.openNetwork());
    case 'apt': {
      const way = { ...(await place.openNetwork()), DEBIAN_FRONTEND: 'noninteractive' };
      return await run({ argv: ['/bin/sh', '-c', aptScript, 'apt', ...step.packages] }, way);
    }
    case 'pip': {
      const target = content.base === 'host' ? ['--target', python] : [];
      const argv = ['python3', '-m', 'pip', 'install', '--no-cache-dir', ...target, ...step.packages];
      // The interpreter is the image's own: nobody else manages what is in it.
      const way = { ...(await place.openNetwork()), PIP_BREAK_SYSTEM_PACKAGES: '1', PIP_ROOT_USER_ACTION: 'ignore' };
      return await run({ argv }, way).catch((e: unknown) => {
        throw lacking(e, 'python3', "debianSlim({ pythonVersion }) has one, or aptInstall('python3-pip')");
      });
    }
    case 'npm': {
      const argv = ['npm', 'install', '--global', '--prefix', npm, '--no-audit', '--no-fund', ...step.packages];
      return await run({ argv }, { ...(await place.openNetwork()), npm_config_update_notifier: 'false' }).catch(
        (e: unknown) => {
          throw lacking(e, 'npm', "debianSlim({ nodeVersion }) has one, or aptInstall('npm')");
        },
      );
    }
  }
}

/** The tar of a folder has `./`, that of a file the one name `file`. */
async function copyFiles(
  { sha256, to }: ActiveStep & { readonly do: 'files' },
  { guest, files }: StepPlace,
  run: (command: Pick<BuildCommand, 'argv' | 'input'>, more: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  const folder = posix.normalize(to);
  await guest.mkdir(folder, { parents: true, existOk: true });
  // -o: whose files they were says nothing here.
  const argv = ['tar', '-x', '-o', '-C', folder, '-f', '-'];
  await run({ argv, input: checked(files(sha256), sha256) }, {}).catch((e: unknown) => {
    throw lacking(e, 'tar', "aptInstall('tar') brings it");
  });
}

/** The same bytes. @throws FileNotFound where they are not those of the hash: they are to be sent again */
export async function* checked(
  tar: AsyncIterable<Uint8Array>,
  sha256: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  for await (const bytes of tar) {
    hash.update(bytes);
    yield bytes;
  }
  if (hash.digest('hex') !== sha256) throw notSent(sha256);
}

export function notSent(sha256: string): HoldfastError {
  return new HoldfastError('FileNotFound', `the files ${sha256.slice(0, 12)} of a copyLocal are not here yet`, {
    details: { sha256 },
  });
}
