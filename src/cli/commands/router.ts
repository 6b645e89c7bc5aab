import type { Command } from 'commander';
import type { CommandContext } from './command-context.js';
import { checkServer, readyFields, type ServerOptions, withServer } from './server-options.js';
import { aborted } from './stop.js';

/** `holdfast router` */
export function registerRouter(program: Command, context: CommandContext): void {
  const command = program.command('router').description('run a router, of which a cluster may have many');
  withServer(command, { default: '127.0.0.1:7070' }).action(async (options: ServerOptions) =>
    runRouter(options, context),
  );
}

async function runRouter(options: ServerOptions, { terminal, env, signal }: CommandContext): Promise<void> {
  const settings = checkServer(options, env);
  const { startTelemetry } = await import('../telemetry.js');
  const telemetry = await startTelemetry(env, 'holdfast-router');
  const [{ createProcessLog }, { openRealServices }, { startRouterPart }, { leaseTimes }] = await Promise.all([
    import('../output/process-log.js'),
    import('../parts/real-services.js'),
    import('../parts/router-part.js'),
    import('../../common/lease.js'),
  ]);
  const log = createProcessLog(terminal, { service: 'router' });
  const services = await openRealServices({ ...settings, name: 'holdfast-router' });
  try {
    const router = await startRouterPart(services, { ...settings, leaseTimes: leaseTimes(settings.leaseTtlMs), log });
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
