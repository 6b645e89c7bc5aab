import { execFile, execFileSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { ImageWorld, outputOf, stepsOf } from './image-world.js';

const mirror = 'deb.debian.org';

/** Why a Debian cannot be made here; null: it can. */
async function lackOf(): Promise<string | null> {
  if (!canIsolate) return 'this host cannot isolate';
  try {
    execFileSync('mmdebstrap', ['--version'], { stdio: 'ignore' });
    await lookup(mirror);
    const response = await fetch(`http://${mirror}/debian/dists/bookworm/Release`, {
      signal: AbortSignal.timeout(10_000),
    });
    return response.ok ? null : `${mirror} answers ${response.status}`;
  } catch (e) {
    return `mmdebstrap or a mirror of Debian is missing: ${e}`;
  }
}

const lack = await lackOf();
if (lack !== null) console.warn(`SKIPPED: images of Debian: ${lack}`);
const gpuOffer = { gpu: 'RTX_4070', gpuCount: 1, vramGb: 12, geolocation: 'US', diskGb: 500 };
const world = new ImageWorld({ mode: 'embedded', workers: [{ id: 'plain' }, { id: 'gpu', offer: gpuOffer }] });
const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));

/** Runs a program as a user does, against the cluster. @returns what it prints */
async function run(script: string, ...args: string[]): Promise<string> {
  const { endpoint, token } = world.cluster;
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', `${examples}${script}`, ...args], {
    env: { ...process.env, HOLDFAST_ENDPOINT: endpoint, HOLDFAST_TOKEN: token },
  });
  return stdout;
}

/** Wheels for the Python of bookworm, from where this host's pip has them. @returns why there are none; null: they are there */
async function lackOfWheels(folder: string, ...packages: string[]): Promise<string | null> {
  const options = ['--only-binary=:all:', '--python-version=3.11', '--retries=1', `--dest=${folder}`];
  try {
    await promisify(execFile)('python3', ['-m', 'pip', 'download', ...options, ...packages], { timeout: 120_000 });
    return null;
  } catch (e) {
    return `this host's pip cannot fetch ${packages.join(', ')}: ${e}`;
  }
}

describe.skipIf(lack !== null)('an image of Debian', () => {
  test('has its release, takes packages, and runs sandboxes and classes with the host’s Node', async () => {
    const { app, progress } = await world.deploy(`
      const image = Image.debianSlim().aptInstall('hello').run('hello > /opt/said; id -un');
      export const box = app.sandbox({ name: 'box', image });
      @app.cls({ image: image.workdir('/srv/job') })
      export class Model {
        @method() async look() {
          const { readFileSync, existsSync } = await import('node:fs');
          return [readFileSync('/etc/debian_version', 'utf8'), readFileSync('/opt/said', 'utf8'), process.cwd(), process.version];
        }
      }`);
    expect(stepsOf(progress).slice(0, 3)).toEqual([
      '+0 debianSlim: bookworm',
      '+1 aptInstall(hello)',
      '+2 run(hello > /opt/said; id -un)',
    ]);
    expect(outputOf(progress)).toContain('root\n');
    await using session = await app.sandbox('box').create();
    const { stdout } = await session.exec('cat /opt/said; id -un; ls -d /root /usr/bin/apt; stat -c %a /tmp', {
      shell: true,
      check: true,
    });
    expect(stdout).toBe('Hello, world!\nuser\n/root\n/usr/bin/apt\n1777\n');
    await session.exec('touch /usr/bin/own', { check: true });
    const [fork] = await session.fork();
    expect(await fork?.exists('/usr/bin/own')).toBe(true);
    await fork?.close();
    const model = await app.cls('Model').named('a');
    const look = (model as unknown as { look(): Promise<string[]> }).look;
    expect(await look()).toEqual([expect.stringMatching(/^12/), 'Hello, world!\n', '/srv/job', process.version]);
    await model.close();
  }, 900_000);

  test('with its Python is what the example says', async () => {
    expect(await run('run.ts', 'debian-python')).toBe('hello from sandbox, Python 3.11\nhello\n');
  }, 900_000);

  test('with numpy, below a function that wants a GPU and a vast_local volume, is what the example says', async ({
    skip,
  }) => {
    const folder = world.path('fast-cache-numpy');
    await cp(`${examples}fast-cache-numpy`, folder, { recursive: true });
    const noWheels = await lackOfWheels(`${folder}/wheels`, 'numpy');
    if (noWheels !== null) {
      console.warn(`SKIPPED: the example with numpy: ${noWheels}`);
      skip(noWheels);
    }
    // Not every host that builds reaches an index: its pip finds the same wheel in a folder.
    const debian = "Image.debianSlim({ pythonVersion: '3.11' })";
    const source = await readFile(`${folder}/app.ts`, 'utf8');
    expect(source).toContain(`${debian}.pipInstall('numpy')`);
    const offline = `${debian}.copyLocal('wheels', '/wheels').env({ PIP_NO_INDEX: '1', PIP_FIND_LINKS: '/wheels' })`;
    await writeFile(`${folder}/app.ts`, source.replace(debian, offline));
    await world.cluster.deploy(pathToFileURL(`${folder}/app.ts`));
    expect(await run('fast-cache-numpy/main.ts')).toBe(
      'first run: GPU 0, computed 1000 squares, the sum is 332833500\n' +
        'second run: GPU 0, found 1000 squares, the sum is 332833500\n',
    );
  }, 900_000);
});
