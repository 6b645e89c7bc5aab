import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';

/** What the figures of a run depend on. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Load average of the last minute, before the run. */
  readonly loadBefore: number;
}

const packagesOnThePath = ['@grpc/grpc-js', 'msgpackr', 'nats', 'ioredis'];

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    versions: {
      node: process.versions.node,
      holdfast: packageVersion('..'),
      ...Object.fromEntries(packagesOnThePath.map((name) => [name, packageVersion(`../node_modules/${name}`)])),
      'nats-server': programVersion('nats-server'),
      'redis-server': programVersion('redis-server'),
    },
    loadBefore: loadavg()[0] ?? 0,
  };
}

/** Its lines, in words. */
export function machineLines({ processor, cores, memoryGiB, system, versions, loadBefore }: Machine): string[] {
  return [
    `${cores} cores (${processor}), ${memoryGiB} GiB, ${system}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    `load average before: ${loadBefore.toFixed(2)}`,
  ];
}

function packageVersion(folder: string): string {
  const file = new URL(`../${folder}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function programVersion(program: string): string {
  try {
    const PATH = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin`;
    const output = execFileSync(program, ['--version'], { encoding: 'utf8', env: { PATH } });
    return /\d+\.\d+\.\d+/.exec(output)?.[0] ?? 'unknown';
  } catch {
    return 'not installed';
  }
}
