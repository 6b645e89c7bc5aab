import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { WorkerId } from '../../common/ids.js';
import type { Isolation } from '../../common/manifest.js';
import { workerControlSubject } from '../../wire/subjects.js';
import { stateFolder } from '../dev/state-file.js';
import type { CommandContext } from './command-context.js';
import { checkPem, keyValue, positiveNumber, wholeNumber } from './options.js';
import { checkServer, readyFields, type ServerOptions, withServer } from './server-options.js';
import { aborted } from './stop.js';

interface WorkerOptions extends ServerOptions {
  readonly id?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly maxContainers?: number;
  readonly maxSandboxes?: number;
  readonly isolation: Isolation;
  readonly sandboxIsolation: 'bubblewrap' | 'gvisor';
  readonly warm: number;
  readonly warmSandboxes?: number;
  readonly imageCacheGb?: number;
  readonly debianMirror?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly data?: string;
  readonly ca?: string;
}

const defaultWarmContainers = 1;

const signals = `
SIGTERM or Ctrl-C drains: running calls finish, instances move to other workers,
then the process ends with 0. A second one ends it at once.`;

/** `holdfast worker` */
export function registerWorker(program: Command, context: CommandContext): void {
  const command = program
    .command('worker')
    .description('run a worker, one for each host')
    .option('--id <name>', 'stable over restarts; default: host name and port')
    .option('--label <key=value>', 'a field of its offer, for placement; repeatable', keyValue)
    .option('--max-containers <count>', 'default: by the memory of the host', positiveNumber)
    .option(
      '--max-sandboxes <count>',
      'sessions of sandboxes at once; default: by the memory of the host',
      positiveNumber,
    )
    .addOption(
      new Option('--isolation <kind>', 'at least this for every container; process: a process and a cgroup only')
        .choices(['process', 'bubblewrap', 'gvisor'])
        .default('bubblewrap'),
    )
    .addOption(
      new Option('--sandbox-isolation <kind>', 'of all sandboxes of this worker; gvisor needs runsc')
        .choices(['bubblewrap', 'gvisor'])
        .default('bubblewrap'),
    )
    .option(
      '--warm <count>',
      'fewest containers kept started for new instances; more on demand, 0: none',
      wholeNumber,
      defaultWarmContainers,
    )
    .option('--warm-sandboxes <count>', 'sandboxes kept started, from the first session on; default: 2', wholeNumber)
    .option('--image-cache-gb <size>', 'for the layers of images; default: 20', positiveNumber)
    .option('--debian-mirror <url>', 'of which images are made; default: that of Debian')
    .option('--env <key=value>', 'a variable for every container; repeatable', keyValue)
    .option('--data <dir>', 'for bundles; default: in the state folder')
    .option(
      '--ca <file>',
      'PEM authority of the routers and workers that it dials; default: --tls-ca (env: HOLDFAST_CA)',
    )
    .addHelpText('after', signals);
  withServer(command, { default: '127.0.0.1:7071' }).action(async (options: WorkerOptions) =>
    runWorker(options, context),
  );
}

async function runWorker(options: WorkerOptions, { terminal, env, signal }: CommandContext): Promise<void> {
  const settings = checkServer(options, env);
  const dialCa = options.ca || env['HOLDFAST_CA'];
  if (dialCa) checkPem('--ca', dialCa);
  const workerId = options.id ?? defaultId(settings.listen);
  // Refused before it has taken anything.
  workerControlSubject(settings.account, workerId as WorkerId);
  const { startTelemetry } = await import('../telemetry.js');
  const telemetry = await startTelemetry(env, 'holdfast-worker');
  const [
    { createProcessLog },
    { openRealServices },
    { startWorkerPart },
    { defaultMaxContainers, defaultMaxSandboxes, defaultWarmSandboxes, hostOffer },
    { leaseTimes },
  ] = await Promise.all([
    import('../output/process-log.js'),
    import('../parts/real-services.js'),
    import('../parts/worker-part.js'),
    import('../parts/host-offer.js'),
    import('../../common/lease.js'),
  ]);
  const log = createProcessLog(terminal, { service: 'worker', worker: workerId });
  const services = await openRealServices({ ...settings, name: `holdfast-worker-${workerId}`, log });
  try {
    const worker = await startWorkerPart(services, {
      ...settings,
      ...(dialCa ? { dialCa } : {}),
      workerId,
      offer: await hostOffer(options.label ?? {}),
      isolation: options.isolation,
      sandboxIsolation: options.sandboxIsolation,
      maxContainers: options.maxContainers ?? defaultMaxContainers(),
      warmContainers: options.warm,
      maxSandboxes: options.maxSandboxes ?? defaultMaxSandboxes(),
      warmSandboxes: options.warmSandboxes ?? defaultWarmSandboxes,
      ...(options.imageCacheGb === undefined ? {} : { imageCacheGb: options.imageCacheGb }),
      ...(options.debianMirror === undefined ? {} : { debianMirror: options.debianMirror }),
      // Absolute: the launcher and the process of mounts have another working directory.
      dataFolder: resolve(options.data ?? join(stateFolder(env), 'workers', workerId)),
      containerEnv: options.env ?? {},
      leaseTimes: leaseTimes(settings.leaseTtlMs),
      log,
      onSwept: (boots) => {
        log.info('worker.swept', { boots: boots.map(({ bootId }) => bootId) });
        for (const { bootId, problem } of boots)
          if (problem !== null) log.warn('worker.left', { boot: bootId, problem });
      },
      onFenced: (why) => log.error('worker.fenced', { why, next: 'a new boot starts' }),
      onBooted: () => log.info('worker.ready', readyFields(worker)),
    });
    log.info('worker.ready', readyFields(worker));
    await aborted(signal);
    log.info('worker.draining');
    await worker.stop();
    log.info('worker.stopped');
  } finally {
    await services.close();
    await telemetry.shutdown();
  }
}

/** Several workers of one host differ by their ports; without a fixed one nothing is stable but the process. */
function defaultId(listen: string): string {
  const port = listen.slice(listen.lastIndexOf(':') + 1);
  // Dots part the subjects of the bus.
  return `${hostname().replaceAll('.', '-')}-${port === '0' ? process.pid : port}`;
}
