import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import { toJson } from '../../output/json-value.js';
import { wrapped } from '../../output/wrapped.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';
import { CommandExit } from '../sandbox/command-exit.js';
import type { ClusterPlaces } from './cluster.js';
import type { Finding } from './finding.js';
import { examineHost, type HostOptions, reportHost } from './host.js';

interface DoctorOptions extends ConnectionOptions, JsonOption, HostOptions {
  readonly redis?: string | true;
  readonly nats?: string | true;
  readonly objectStore?: string | true;
  readonly workers?: boolean;
}

/** Below the subject, which follows the level. */
const indent = ' '.repeat(9);

/** As for any error without a code of its own: `holdfast help exit-codes`. */
const problemExitCode = 7;

const notes = `
Of the cluster it looks at what is named; --redis, --nats and --object-store
without a value take it from the environment, as routers and workers do:
  holdfast doctor --redis --nats --object-store --workers
It ends with ${problemExitCode} where it found a problem there.

What a killed worker left on this machine is removed by its watchdog, and by
its next start. This finds what remains where both were killed, and touches
nothing of a worker that runs.`;

/** `holdfast doctor` */
export function registerDoctor(program: Command, context: CommandContext): void {
  const command = program
    .command('doctor')
    .description('what is wrong with this machine, or with a cluster')
    .option('--fix', 'remove what killed workers left: processes, cgroups, disks')
    .option('--data <dir>', 'data folder of the workers; default: all in the state folder')
    .option('--redis [url]', 'settings of Redis (env: HOLDFAST_REDIS_URL)')
    .option('--nats [url]', 'settings of NATS (env: HOLDFAST_NATS_URL)')
    .option('--object-store [place]', 'whether objects are kept (env: HOLDFAST_OBJECT_STORE)')
    .option('--workers', 'states and leases, as a router tells them')
    .addHelpText('after', notes);
  withConnection(command).action(async (options: DoctorOptions) => diagnose(options, context));
}

async function diagnose(options: DoctorOptions, context: CommandContext): Promise<void> {
  const places = placesOf(options, context.env);
  const isOfCluster = Object.values(places).some((place) => place !== null);
  const { examineCluster } = await import('./cluster.js');
  const cluster = await examineCluster(places, context);
  const host = isOfCluster && !options.fix ? null : await examineHost(options, context);
  if (options.json) context.terminal.print(toJson({ ...host, cluster }));
  else {
    for (const finding of cluster) reportFinding(finding, context);
    if (host !== null) await reportHost(host, options, context);
  }
  if (cluster.some(({ level }) => level === 'problem')) throw new CommandExit(problemExitCode);
}

function placesOf(options: DoctorOptions, env: NodeJS.ProcessEnv): ClusterPlaces {
  return {
    redis: placeOf('--redis', options.redis, env['HOLDFAST_REDIS_URL']),
    nats: placeOf('--nats', options.nats, env['HOLDFAST_NATS_URL']),
    objects: placeOf('--object-store', options.objectStore, env['HOLDFAST_OBJECT_STORE']),
    router: options.workers ? findConnection(options, env) : null,
  };
}

function placeOf(option: string, given: string | true | undefined, inEnvironment: string | undefined): string | null {
  if (given === undefined) return null;
  if (given !== true) return given;
  if (inEnvironment) return inEnvironment;
  const variable = `HOLDFAST_${option === '--object-store' ? 'OBJECT_STORE' : `${option.slice(2).toUpperCase()}_URL`}`;
  throw new HoldfastError('InvalidArgument', `${option} of what? give it a value, or set ${variable}`);
}

function reportFinding({ of, which, level, says, next }: Finding, { terminal }: CommandContext): void {
  const colour = { ok: 'green', warning: 'yellow', problem: 'red' } as const;
  const subject = which === '-' ? of : `${of} ${which}`;
  const lines = wrapped(
    `${terminal.paint(colour[level], level.padEnd(7))}  ${subject}: ${says}`,
    terminal.columns,
    indent,
  );
  for (const line of lines) terminal.print(line);
  if (next === null) return;
  for (const line of wrapped(`${indent}${next}`, terminal.columns, indent)) terminal.print(line);
}
