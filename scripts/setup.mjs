/**
 * Makes sure that what no npm package ships is installed: the servers that the tests start, nats-server and redis-server,
 * and what sandboxes stand on, bubblewrap and mkfs.ext4. On Debian and Ubuntu as root it installs them; elsewhere it says
 * in one line what is missing. Without them the tests that need them are skipped, so their absence fails here where
 * CI=true, and only warns otherwise. With --sandboxes it looks for what these stand on only, and leaves it to the program
 * after it, the demo, to say what is missing; with --suites also for what tests want that are too long for each change.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const isForSandboxes = process.argv.includes('--sandboxes');

/** Programs, and the packages of Debian and Ubuntu that have them. */
const ofSandboxes = [
  ['bwrap', 'bubblewrap'],
  ['mkfs.ext4', 'e2fsprogs'],
  ['tar', 'tar'],
];
const ofTests = [
  ['nats-server', 'nats-server'],
  ['redis-server', 'redis-server'],
  // Tests put other hosts into network namespaces.
  ['ip', 'iproute2'],
  // Examples run it in sandboxes, which show the programs of the host.
  ['python3', 'python3'],
];
const ofSuites = [
  // Images of Debian are made by it, for which a mirror is needed, too.
  ['mmdebstrap', 'mmdebstrap'],
  ['stress-ng', 'stress-ng'],
];
const ofAllTests = [...ofSandboxes, ...ofTests, ...(process.argv.includes('--suites') ? ofSuites : [])];
const needed = new Map(isForSandboxes ? ofSandboxes : ofAllTests);
const policy = '/usr/sbin/policy-rc.d';

/** Debian puts servers in /usr/sbin, which is not on every user's PATH. */
function isInstalled(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // Not there, or not executable: look on.
    }
  });
}

function apt(...args) {
  console.log(`setup: apt-get ${args.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status, stdout, stderr, error } = spawnSync('apt-get', args, { env, encoding: 'utf8' });
  if (status !== 0) console.error(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trimEnd());
  return status === 0;
}

/** Debian starts a server once it is installed, unless a policy refuses: the tests start their own, on free ports. */
function withoutStartingServices(install) {
  if (existsSync(policy)) return install();
  const remove = () => rmSync(policy, { force: true });
  // With a listener, Ctrl-C no longer ends this process before the policy is gone.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, remove);
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return install();
  } finally {
    remove();
  }
}

function install(packages) {
  const startedAt = performance.now();
  console.log(`setup: ${packages.join(' and ')} missing, installing from the system's packages`);
  const isDone = withoutStartingServices(
    () => apt('update', '-q') && apt('install', '-y', '-q', '--no-install-recommends', ...packages),
  );
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`setup: ${isDone ? 'installed' : 'could not install'} ${packages.join(' and ')} in ${seconds} s`);
}

/** Packages. */
function missing() {
  return [...needed].filter(([program]) => !isInstalled(program)).map(([, name]) => name);
}

const canInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version') && isInstalled('apt-get');
if (missing().length > 0 && canInstall) install(missing());
const lacking = missing();
if (lacking.length > 0 && !isForSandboxes) {
  const how = `apt-get install --no-install-recommends ${lacking.join(' ')}`;
  const effect = process.env.CI === 'true' ? '' : '; tests that need it are skipped';
  console.error(`setup: missing ${lacking.join(' and ')}: as root on Debian or Ubuntu run \`${how}\`${effect}`);
  if (process.env.CI === 'true') process.exitCode = 1;
}
