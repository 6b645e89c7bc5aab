/** The package as users get it: packed, installed into an empty project, used with and without TypeScript. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isolatedTest } from '../isolated-test.js';
import { clientProgram, clusterProgram, counterModule, typedProgram } from './programs.js';
import { readmeFile, readmeSession } from './readme.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const limitMs = 50_000;

let folder: string;
let tarball: PackedFile;
/** An empty project with the tarball and types of Node. */
let project: string;
/** Of the project, as it is installed. */
let installed: string;

interface PackedFile {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly size: number; readonly mode: number }[];
}

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'hf-package-')));
  project = join(folder, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }));
  // Without scripts: the tests run on the dist that is there, and building it here would change it under other tests.
  const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root });
  [tarball] = JSON.parse(packed.stdout) as [PackedFile];
  const { version } = JSON.parse(readFileSync(require.resolve('@types/node/package.json'), 'utf8')) as {
    version: string;
  };
  const packages = [join(folder, tarball.filename), `@types/node@${version}`];
  const offline = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  await run('npm', ['install', ...offline, ...packages], { cwd: project });
  installed = join(project, 'node_modules/holdfast');
}, limitMs);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the tarball', () => {
  test('holds what runs, the protos and the papers, and nothing else', () => {
    const strays = tarball.files.map((file) => file.path).filter((path) => !isWanted(path));
    expect(strays, `of ${sizeOf(tarball)}`).toEqual([]);
    for (const paper of ['README.md', 'CHANGELOG.md', 'LICENSE', 'package.json'])
      expect(readdirSync(installed), `of ${sizeOf(tarball)}`).toContain(paper);
  });

  test('names no file of the machine that made it', () => {
    const machine = [root.replace(/\/$/, ''), `${homedir()}/`];
    const telling = filesBelow(installed).filter((file) => {
      const content = readFileSync(join(installed, file), 'utf8');
      return machine.some((path) => content.includes(path));
    });
    expect(telling).toEqual([]);
  });

  test('carries the guest agent as a program that runs without any library of its machine', async () => {
    const agent = join(installed, `dist/guest/holdfast-guest-${process.arch}`);
    const child = spawn(agent, { stdio: ['ignore', 'ignore', 'pipe'], env: {} });
    expect(await text(child.stderr)).toMatch(/^holdfast-guest: /);
    expect(readFileSync(agent).includes('/lib64/ld-')).toBe(false);
  });

  test('has source maps that bring their sources along', () => {
    const maps = filesBelow(installed).filter((file) => file.endsWith('.map'));
    const broken = maps.filter((file) => {
      const { sources, sourcesContent } = JSON.parse(readFileSync(join(installed, file), 'utf8')) as SourceMapFile;
      return sources.some((source, index) => {
        const path = posix.join(posix.dirname(file), source);
        return typeof sourcesContent?.[index] !== 'string' && !existsSync(join(installed, path));
      });
    });
    expect(broken.slice(0, 3)).toEqual([]);
  });

  test('is found without a fault by publint', async () => {
    const publint = join(root, 'node_modules/.bin/publint');
    const { stdout } = await run(publint, ['run', installed, '--strict', '--pack', 'false']);
    expect(stdout).toContain('All good');
  });
});

interface SourceMapFile {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
}

describe('a project without TypeScript', () => {
  test('deploys with the installed command and calls from a program that ends by itself', async () => {
    write('cluster.mjs', clusterProgram);
    write('counter.js', counterModule);
    write('client.mjs', clientProgram);
    await using cluster = await startClusterProgram();
    const holdfast = join(project, 'node_modules/.bin/holdfast');
    const deployed = await run(holdfast, ['deploy', 'counter.js'], { cwd: project, env: cluster.env });
    expect(deployed.stdout).toBe('deployed counting, deployment 1: Counter\n');
    const client = await run(process.execPath, ['client.mjs'], { cwd: project, env: cluster.env });
    expect(client.stdout).toBe('2 5\ntrue TypeError not a number\n');
    const called = await run(holdfast, ['call', 'counting/Counter', 'a', 'add', '[10]'], {
      cwd: project,
      env: cluster.env,
    });
    expect(called.stdout).toBe('15\n');
    await cluster.end();
    expect(cluster.exitCode).toBe(0);
  });
});

describe('a project with TypeScript', () => {
  test('runs the first example of the README, which prints what the README says', async () => {
    write('app.ts', readmeFile('app.ts'));
    write('main.ts', readmeFile('main.ts'));
    write('cluster.mjs', clusterProgram);
    await using cluster = await startClusterProgram();
    const holdfast = join(project, 'node_modules/.bin/holdfast');
    await run(holdfast, ['deploy', 'app.ts'], { cwd: project, env: cluster.env });
    const said = readmeSession('npx holdfast call', 'npx tsx main.ts');
    expect(said.length).toBeGreaterThanOrEqual(3);
    const tsx = pathToFileURL(require.resolve('tsx')).href;
    for (const { command, args, output } of said) {
      const [program, ...words] = command.startsWith('npx tsx')
        ? [process.execPath, '--import', tsx, 'main.ts']
        : [holdfast, 'call', ...args];
      const { stdout } = await run(program, words, { cwd: project, env: cluster.env });
      expect({ command, output: stdout }).toEqual({ command, output });
    }
    await cluster.end();
  });

  isolatedTest('runs the sandbox of the README, which prints what the README says', async () => {
    write('app.ts', readmeFile('app.ts'));
    write('untrusted.ts', readmeFile('untrusted.ts'));
    write('cluster.mjs', clusterProgram);
    await using cluster = await startClusterProgram();
    const holdfast = join(project, 'node_modules/.bin/holdfast');
    await run(holdfast, ['deploy', 'app.ts'], { cwd: project, env: cluster.env });
    const said = readmeSession('npx tsx untrusted.ts', 'npx holdfast sandbox');
    expect(said.length).toBeGreaterThanOrEqual(4);
    const tsx = pathToFileURL(require.resolve('tsx')).href;
    for (const { command, args, output } of said) {
      const [program, ...words] = command.startsWith('npx tsx')
        ? [process.execPath, '--import', tsx, 'untrusted.ts']
        : [holdfast, 'sandbox', ...args];
      const { stdout } = await run(program, words, { cwd: project, env: cluster.env });
      expect({ command, output: stdout }).toEqual({ command, output });
    }
    await cluster.end();
  });

  test('passes the tests that the README shows', async () => {
    write('app.ts', readmeFile('app.ts'));
    write('basket.test.ts', readmeFile('basket.test.ts'));
    const tsx = pathToFileURL(require.resolve('tsx')).href;
    const { stdout } = await run(process.execPath, ['--import', tsx, '--test', 'basket.test.ts'], { cwd: project });
    expect(stdout).toMatch(/^# pass 2$/m);
  });

  test.each([
    ['NodeNext', { module: 'nodenext' }],
    ['Bundler', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('compiles in strict mode with module resolution %s, the declarations included', async (name, resolution) => {
    write('app.ts', readmeFile('app.ts'));
    write('main.ts', readmeFile('main.ts'));
    write('untrusted.ts', readmeFile('untrusted.ts'));
    write('basket.test.ts', readmeFile('basket.test.ts'));
    write('typed.ts', typedProgram);
    const compilerOptions = {
      ...resolution,
      ...{ target: 'es2022', strict: true, noEmit: true, skipLibCheck: false, types: ['node'] },
    };
    const config = `tsconfig.${name}.json`;
    write(
      config,
      JSON.stringify({ compilerOptions, files: ['app.ts', 'main.ts', 'untrusted.ts', 'basket.test.ts', 'typed.ts'] }),
    );
    const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
    const { stdout } = await run(process.execPath, [compiler, '-p', config], { cwd: project });
    expect(stdout).toBe('');
  });
});

interface ClusterProgram extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  readonly exitCode: number | null;
  /** Resolves when it has ended by itself. */
  end(): Promise<void>;
}

async function startClusterProgram(): Promise<ClusterProgram> {
  const child = start(process.execPath, ['cluster.mjs'], { cwd: project, stdin: 'pipe' });
  const exited = once(child, 'exit');
  const errors = text(child.stderr as NodeJS.ReadableStream);
  const line = once(child.stdout as NodeJS.ReadableStream, 'data').then(([data]) => String(data));
  const said = await Promise.race([line, exited.then(() => null)]);
  if (said === null) throw new Error(`the cluster did not start: ${await errors}`);
  const end = async (): Promise<void> => {
    child.stdin?.end();
    await exited;
  };
  return {
    env: JSON.parse(said) as Record<string, string>,
    get exitCode() {
      return child.exitCode;
    },
    end,
    [Symbol.asyncDispose]: end,
  };
}

interface Place {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** To its end, which must be a good one. */
async function run(program: string, args: readonly string[], place: Place = {}): Promise<{ readonly stdout: string }> {
  const child = start(program, args, { ...place, stdin: 'ignore' });
  const exited = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
  ]);
  const [code, signal] = await exited;
  if (code === 0) return { stdout };
  throw new Error(`${program} ${args.join(' ')} ended with ${signal ?? `code ${code}`}:\n${stdout}${stderr}`);
}

/** Killed where it takes longer than any test may. */
function start(
  program: string,
  args: readonly string[],
  place: Place & { readonly stdin: 'pipe' | 'ignore' },
): ChildProcess {
  const { cwd = root, env = {}, stdin } = place;
  return spawn(program, args, {
    cwd,
    // A newcomer's: no cluster of this machine, no state of its user.
    env: { ...environment(), ...env, XDG_STATE_HOME: join(folder, 'state'), TMPDIR: folder },
    stdio: [stdin, 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
}

function environment(): NodeJS.ProcessEnv {
  const foreign = /^(HOLDFAST_|OTEL_|VITEST|NODE_OPTIONS$|NODE_ENV$|npm_(?!config_))/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

function write(name: string, content: string): void {
  writeFileSync(join(project, name), content);
}

function filesBelow(top: string): string[] {
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(top.length + 1));
}

function isWanted(path: string): boolean {
  if (/^(README\.md|CHANGELOG\.md|LICENSE|package\.json)$/.test(path)) return true;
  if (/^proto\/.*\.proto$/.test(path)) return true;
  const isTestOrBench = /(^|\/)(test|tests|bench|fixtures|__tests__|node_modules)\/|\.(test|spec)\./.test(path);
  if (/^dist\/(guest\/holdfast-guest|launcher\/holdfast-launcher|volume-tool\/holdfast-volume)-(x64|arm64)$/.test(path))
    return true;
  return !isTestOrBench && /^dist\/.*\.(js|js\.map|d\.ts|lua)$/.test(path);
}

function sizeOf({ size, unpackedSize, files }: PackedFile): string {
  return `a tarball of ${size} bytes, ${unpackedSize} unpacked, in ${files.length} files`;
}
