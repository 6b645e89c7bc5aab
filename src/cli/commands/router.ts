import type { Command } from 'commander';
import type { Kms } from '../../common/ports/kms.js';
import type { CommandContext } from './command-context.js';
import { checkServer, readyFields, type ServerOptions, withServer } from './server-options.js';
import { aborted } from './stop.js';

interface RouterOptions extends ServerOptions {
  readonly masterKeyFile?: string;
}

const masterKeys = `
Master keys are base64 of 32 bytes (\`openssl rand -base64 32\`), one a line;
the first wraps, all open. Put a new one first in all routers, then
\`holdfast secret rotate-key\`.`;

/** `holdfast router` */
export function registerRouter(program: Command, context: CommandContext): void {
  const command = program
    .command('router')
    .description('run a router, of which a cluster may have many')
    .option(
      '--master-key-file <file>',
      'keys that seal secrets; env: HOLDFAST_MASTER_KEY_FILE, or a key in HOLDFAST_MASTER_KEY',
    )
    .addHelpText('after', masterKeys);
  withServer(command, { default: '127.0.0.1:7070' }).action(async (options: RouterOptions) =>
    runRouter(options, context),
  );
}

async function runRouter(options: RouterOptions, { terminal, env, clock, signal }: CommandContext): Promise<void> {
  const settings = checkServer(options, env);
  const { startTelemetry } = await import('../telemetry.js');
  const telemetry = await startTelemetry(env, 'holdfast-router');
  const [{ ulid }, { createProcessLog }, { openRealServices }, { startRouterPart }, { leaseTimes }, kms] =
    await Promise.all([
      import('ulid'),
      import('../output/process-log.js'),
      import('../parts/real-services.js'),
      import('../parts/router-part.js'),
      import('../../common/lease.js'),
      openMasterKeys(options, env),
    ]);
  const routerId = ulid(clock.now());
  const log = createProcessLog(terminal, { service: 'router', router: routerId });
  const services = await openRealServices({ ...settings, name: 'holdfast-router', log });
  try {
    const leases = leaseTimes(settings.leaseTtlMs);
    const router = await startRouterPart(services, { ...settings, routerId, leaseTimes: leases, kms, log });
    log.info('router.ready', readyFields(router));
    await aborted(signal);
    log.info('router.stopping');
    await router.close();
    log.info('router.stopped');
  } finally {
    await services.close();
    await telemetry.shutdown();
  }
}

async function openMasterKeys({ masterKeyFile }: RouterOptions, env: NodeJS.ProcessEnv): Promise<Kms | null> {
  const { masterKeySource, openKms } = await import('../parts/secrets-kms.js');
  return openKms(masterKeySource(masterKeyFile, env));
}
