import { execFile, execFileSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { fileURLToPath } from 'node:url';
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
const world = new ImageWorld();

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
    const { endpoint, token } = world.cluster;
    const run = fileURLToPath(new URL('../../../examples/run.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', run, 'debian-python'], {
      env: { ...process.env, HOLDFAST_ENDPOINT: endpoint, HOLDFAST_TOKEN: token },
    });
    expect(stdout).toBe('hello from sandbox, Python 3.11\nhello\n');
  }, 900_000);
});
