import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { errorOf } from '../sandboxes/sandbox-world.js';
import { ImageWorld } from './image-world.js';

const python = '/usr/bin/python3';

const folders = ['/usr/local/bin', '/usr/bin'];

/** Whether sandboxes see all of it: links lead out of what they see of this host. */
function isInUsr(program: string): boolean {
  const path = folders.map((folder) => join(folder, program)).find((candidate) => existsSync(candidate));
  return path !== undefined && realpathSync(path).startsWith('/usr/');
}

function works(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore', env: { PATH: folders.join(':') } });
    return true;
  } catch {
    return false;
  }
}

const hasPip = canIsolate && isInUsr('python3') && existsSync(python) && works(python, '-m', 'pip', '--version');
const hasNpm = canIsolate && isInUsr('npm') && isInUsr('node') && works('npm', '--version');
if (!hasPip) console.warn('SKIPPED: pipInstall: this host has no isolation, or no pip in /usr');
if (!hasNpm) console.warn('SKIPPED: npmInstall: this host has no isolation, or no npm in /usr');
const world = new ImageWorld();

/** A wheel is a zip with a module, what it is, and a list of both. */
const wheelScript = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('counted.py', 'def count(text):\\n    return len(text)\\n')
    info = 'counted-1.2.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: counted\\nVersion: 1.2\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', 'counted.py,,\\n' + info + 'METADATA,,\\n' + info + 'WHEEL,,\\n' + info + 'RECORD,,\\n')
`;

test.skipIf(!hasPip)(
  'pip installs from a folder of wheels, and fails with what it said where there is none',
  async () => {
    await world.write({ 'wheels/README': '' });
    execFileSync(python, ['-c', wheelScript, world.path('wheels/counted-1.2-py3-none-any.whl')]);
    const source = (name: string) => `
    const image = Image.host().copyLocal('wheels', '/wheels').pipInstall('--no-index', '--find-links=/wheels', '${name}');
    export const box = app.sandbox({ name: 'box', image });`;
    const { app } = await world.deploy(source('counted'));
    await using session = await app.sandbox('box').create();
    const counted = await session.exec([python, '-c', 'import counted; print(counted.count("four"))'], { check: true });
    expect(counted.stdout).toBe('4\n');
    const failed = await errorOf(world.deploy(source('nowhere-to-be-found')));
    expect(failed.code).toBe('CommandFailed');
    expect(failed.message).toContain('step 2 of 2, pipInstall(--no-index, --find-links=/wheels, nowhere-to-be-found)');
    expect(failed.message).toContain('No matching distribution');
  },
);

test.skipIf(!hasNpm)('npm installs a package that require finds, in sandboxes and in classes', async () => {
  await world.write({
    'packed/package/package.json': JSON.stringify({ name: 'counted', version: '1.0.0', bin: { counted: 'bin.js' } }),
    'packed/package/index.js': 'module.exports = (text) => text.length;',
    'packed/package/bin.js': "#!/usr/bin/env node\nconsole.log(require('counted')(process.argv[2]));",
  });
  execFileSync('tar', ['-C', world.path('packed'), '-czf', world.path('counted-1.0.0.tgz'), 'package']);
  const { app } = await world.deploy(`
    const image = Image.host().copyLocal('counted-1.0.0.tgz', '/srv/').npmInstall('/srv/counted-1.0.0.tgz');
    export const box = app.sandbox({ name: 'box', image });
    @app.cls({ image })
    export class Counter {
      @method() async count(text: string) {
        const { createRequire } = await import('node:module');
        return createRequire(import.meta.url)('counted')(text);
      }
    }`);
  await using session = await app.sandbox('box').create();
  expect((await session.exec('counted four', { check: true })).stdout).toBe('4\n');
  const counter = await app.cls('Counter').named('a');
  expect(await (counter as unknown as { count(text: string): Promise<number> }).count('three')).toBe(5);
  await counter.close();
});
