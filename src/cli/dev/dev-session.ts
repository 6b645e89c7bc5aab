import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { Client } from '../../sdk/client.js';
import { deployModule } from '../../sdk/deploy/deploy-module.js';
import type { CommandContext } from '../commands/command-context.js';
import { readLogLines } from '../commands/log-stream.js';
import { aborted } from '../commands/stop.js';
import { imageNotes } from '../output/image-notes.js';
import { withProgress } from '../output/progress.js';
import { DeployLoop } from './deploy-loop.js';
import { startDevCluster } from './dev-cluster.js';
import { exampleCommands } from './example-commands.js';
import { FileWatch } from './file-watch.js';
import { freeListenAddress } from './listen-address.js';
import { moduleFiles } from './module-files.js';
import { holdProjectFolder, projectFolderOf } from './project-folder.js';
import { createReporter, type DevReporter } from './reporter.js';
import { type DevState, removeDevState, writeDevState } from './state-file.js';

/** What `holdfast dev` was asked for. */
export interface DevSettings {
  readonly module: string | null;
  /** Which app of the module; null: its only one. */
  readonly app: string | null;
  readonly listen: string | null;
  readonly folder: string | null;
  readonly objectStore: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly json: boolean;
}

/** A cluster on this machine with the user's module on it, until the signal; then it drains. @throws Unavailable, AlreadyExists */
export async function runDev(settings: DevSettings, context: CommandContext): Promise<void> {
  const module = settings.module === null ? null : existingFile(settings.module);
  const reporter = createReporter(context.terminal, settings);
  const folder = settings.folder ?? projectFolderOf(module ?? process.cwd(), context.env);
  const held = holdProjectFolder(folder);
  // Also where the process ends at once: at the second Ctrl-C, or by an error of its own.
  process.once('exit', () => held.release());
  const listen = settings.listen ?? (await freeListenAddress());
  const cluster = await withProgress('starting a cluster', context, () =>
    startDevCluster({
      folder,
      objectStore: settings.objectStore,
      listen,
      env: settings.env,
      onFenced: (why) => reporter.notice('worker.fenced', `the worker was fenced (${why}); it starts again`),
    }),
  );
  const state: DevState = { endpoint: cluster.endpoint, token: cluster.token };
  writeDevState(context.env, state);
  process.once('exit', () => removeDevState(context.env, state));
  reporter.ready({ endpoint: cluster.endpoint, folder });
  const logsOver = new AbortController();
  const logs = followLogs(state, reporter, logsOver.signal);
  try {
    await serve(module, { app: settings.app, state, reporter, context });
    reporter.notice('dev.draining', 'draining; Ctrl-C again ends at once');
    // With their logs: exit hooks have something to say.
    await cluster.drain();
  } finally {
    removeDevState(context.env, state);
    logsOver.abort();
    await logs;
    await cluster.close();
    held.release();
  }
}

interface Serving {
  readonly app: string | null;
  readonly state: DevState;
  readonly reporter: DevReporter;
  readonly context: CommandContext;
}

async function serve(module: string | null, serving: Serving): Promise<void> {
  if (module !== null) return keepDeployed(module, serving);
  serving.reporter.notice('dev.empty', 'Deploy an app with `holdfast deploy MODULE`. Ctrl-C stops.');
  await aborted(serving.context.signal);
}

/** Deploys the module now and whenever one of its files changes, until the signal. */
async function keepDeployed(module: string, { app, state, reporter, context }: Serving): Promise<void> {
  const { signal, clock } = context;
  const client = new Client(state);
  const loop = new DeployLoop();
  const watch = new FileWatch(clock, (file) => loop.want(file));
  let watched = 0;
  try {
    await loop.run(signal, async (changed) => {
      // Before it is deployed: a change from here on deploys once more.
      const files = await moduleFiles(module);
      watch.set(files);
      await deployAndReport(changed, { module, app, client, reporter, context });
      if (files.length !== watched && !signal.aborted) reporter.watching(files.length);
      watched = files.length;
    });
  } finally {
    watch.close();
    await client.close();
  }
}

async function deployAndReport(
  changed: string | null,
  deploying: {
    readonly module: string;
    readonly app: string | null;
    readonly client: Client;
    readonly reporter: DevReporter;
    readonly context: CommandContext;
  },
): Promise<void> {
  const { module, app, client, reporter, context } = deploying;
  const { signal } = context;
  try {
    const deployment = await withProgress('deploying', context, () =>
      deployModule(module, {
        ...{ client, instances: 'restart', signal, onImage: imageNotes(context.terminal) },
        ...(app === null ? {} : { app }),
      }),
    );
    reporter.deployed(deployment, changed, exampleCommands(deployment.manifest, programName(context.env)));
  } catch (e) {
    if (!signal.aborted) reporter.deployFailed(e);
  }
}

async function followLogs(state: DevState, reporter: DevReporter, signal: AbortSignal): Promise<void> {
  const scope = { app: '', className: '', id: '' };
  try {
    for await (const line of readLogLines(state, { scope, follow: true, tail: 1, signal })) reporter.log(line);
  } catch (e) {
    reporter.notice('dev.logs-ended', `logs are no longer shown: ${e instanceof Error ? e.message : String(e)}`);
  }
}

/** As the user started us. */
function programName(env: NodeJS.ProcessEnv): string {
  return env['npm_command'] === 'exec' ? 'npx holdfast' : 'holdfast';
}

function existingFile(module: string): string {
  const path = resolve(module);
  if (existsSync(path)) return path;
  throw new HoldfastError(
    'InvalidArgument',
    `there is no module ${module}: give the file that declares your app, e.g. app.ts`,
  );
}
