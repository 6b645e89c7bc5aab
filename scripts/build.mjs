/**
 * Compiles src to dist, and the programs in C with it. The compiler writes to a staging folder; then only files that
 * differ are moved into place, one atomic rename each, and files without a source disappear. So dist is never stale, and
 * neither a running process nor a second build at the same time ever sees half a file. Type errors fail the build, but what
 * was emitted is still moved into place: a mistake in one folder does not stop the tests of another.
 *
 * The program of containers becomes one file of what it needs at its start: a container is ready twice as soon, and more of
 * them can be started with the same CPU.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build as bundle } from 'esbuild';
import { buildGuest } from './build-guest.mjs';
import { buildLauncher } from './build-launcher.mjs';
import { buildVolumeTool } from './build-volume-tool.mjs';

const root = join(import.meta.dirname, '..');
const source = join(root, 'src');
const output = join(root, 'dist');
// Beside dist, so that the relative paths in source maps are right.
const staging = join(root, `.build-${process.pid}`);
const assets = /\.lua$/;
const executable = 'cli/main.js';
/** Not of the compiler: programs in C have a build of their own. */
const kept = /^(guest|launcher|volume-tool)\//;
const container = 'cli/container-main.js';

function filesOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function isSame(a, b) {
  return existsSync(b) && readFileSync(a).equals(readFileSync(b));
}

/** Packages that a container loads when it needs them, if ever. */
const loadedLater = ['@grpc/grpc-js', '@opentelemetry/*', 'acorn'];

/** Parts of the SDK that hardly ever run there stay files of their own, which the bundle finds from where it is. */
const filesOfTheirOwn = {
  name: 'files-of-their-own',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(deploy-module|archive-volume)\.js$/ }, ({ path, resolveDir }) => ({
      path: relative(join(staging, dirname(container)), join(resolveDir, path)),
      external: true,
    }));
  },
};

async function bundleContainer() {
  const file = join(staging, container);
  await bundle({
    entryPoints: [file],
    absWorkingDir: staging,
    outfile: file,
    allowOverwrite: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: loadedLater,
    plugins: [filesOfTheirOwn],
    // Without its native part, which takes longer to find and load than all the rest.
    alias: { msgpackr: join(root, 'node_modules/msgpackr/index.js') },
    // With source maps on, Node would read the bundle's at every start.
    sourcemap: false,
    logLevel: 'warning',
  });
  rmSync(`${file}.map`, { force: true });
}

async function build() {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, 'tsconfig.build.json');
  const { status } = spawnSync(process.execPath, [compiler, '-p', project, '--outDir', staging], { stdio: 'inherit' });
  for (const file of filesOf(source).filter((file) => assets.test(file)))
    cpSync(join(source, file), join(staging, file));

  if (existsSync(join(staging, container))) await bundleContainer();
  const built = filesOf(staging);
  if (built.length === 0) return status || 1;
  if (built.includes(executable)) chmodSync(join(staging, executable), 0o755);
  for (const file of built) {
    if (isSame(join(staging, file), join(output, file))) continue;
    mkdirSync(dirname(join(output, file)), { recursive: true });
    renameSync(join(staging, file), join(output, file));
  }
  const current = new Set(built);
  for (const file of filesOf(output)) {
    if (!current.has(file) && !kept.test(file)) rmSync(join(output, file), { force: true });
  }
  return status ?? 1;
}

try {
  buildGuest();
  buildLauncher();
  buildVolumeTool();
  process.exitCode = await build();
} finally {
  rmSync(staging, { recursive: true, force: true });
}
